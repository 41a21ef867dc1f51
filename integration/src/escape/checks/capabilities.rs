//! What the program may do beyond its user id: the five capability sets, what execve adds to them, no_new_privs.

use crate::bundle::{Bundle, DEFAULT_CAPABILITIES, capabilities};
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

crate::checks! {
    "A1" capability_sets_are_those_of_the_configuration;
    "A1" without_capabilities_in_the_configuration_all_sets_are_empty;
    "A1" an_unknown_capability_is_not_taken_for_another;
    "A1" net_raw_is_dropped_without_being_asked [Own("net-raw"), Levels(&["baseline", "restricted"])];
    "A1" every_capability_but_net_bind_service_is_dropped [Own("drop-capabilities"), Levels(&["restricted"])];
    "A2" set_user_id_programs_stay_within_the_bounding_set;
    "A2" file_capabilities_stay_within_the_bounding_set;
    "A3" ambient_capabilities_are_permitted_and_inheritable_ones;
    "A3" inheritable_and_ambient_sets_are_emptied [Own("ambient-capabilities"), Levels(&["baseline", "restricted"])];
    "A4" no_new_privs_is_set_when_asked_and_holds;
    "A4" no_new_privs_is_set_without_being_asked [Own("no-new-privileges"), Levels(&["baseline", "restricted"])];
    "CVE-2016-8867" a_user_other_than_root_has_no_ambient_capabilities;
    "CVE-2018-10856" an_exec_as_another_user_has_no_effective_capabilities;
    "CVE-2022-29162" exec_cap_leaves_the_inheritable_set_empty
        [Advisory("runc", "CVE-2022-29162"), Advisory("crun", "CVE-2022-27650")];
    "CVE-2022-27650" spec_writes_no_inheritable_capabilities
        [Advisory("runc", "CVE-2022-29162"), Advisory("crun", "CVE-2022-27650")];
    "CVE-2025-27612" exec_cap_as_another_user_leaves_inheritable_and_ambient_empty
        [Advisory("youki", "CVE-2025-27612")];
    "CVE-2025-27612" exec_beyond_the_containers_capabilities_is_refused
        [Own("exec-beyond-init"), Levels(&["baseline", "restricted"])];
}

/// Docker's default set as a mask, see [`DEFAULT_CAPABILITIES`].
const DEFAULT: u64 = 0xa804_25fb;
const CHOWN: u64 = 1;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_RAW: u64 = 1 << 13;

/// The sets of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sets {
    inheritable: u64,
    permitted: u64,
    effective: u64,
    bounding: u64,
    ambient: u64,
}

impl Sets {
    fn of(pid: i32) -> Result<Self> {
        let set = |name| -> Result<u64> { Ok(u64::from_str_radix(&host::status(pid, name)?, 16)?) };
        Ok(Self {
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
        })
    }

    /// Everything in any set.
    fn all(self) -> u64 {
        self.inheritable | self.permitted | self.effective | self.bounding | self.ambient
    }

    /// Root's after an execve: what is in the bounding set is permitted and effective, and nothing is handed on.
    fn roots(set: u64) -> Self {
        Self { inheritable: 0, permitted: set, effective: set, bounding: set, ambient: 0 }
    }
}

impl std::fmt::Display for Sets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inheritable, permitted, effective, bounding, ambient } = self;
        write!(f, "Inh {inheritable:x} Prm {permitted:x} Eff {effective:x} Bnd {bounding:x} Amb {ambient:x}")
    }
}

/// Whether casemate's hardening is in force, which may only take away.
fn hardened(s: &Scene) -> bool {
    s.at("baseline") || s.at("restricted")
}

/// A bundle whose user is not root, on every level, with these capabilities where the level has them.
fn of_a_user(s: &Scene, names: &[&str]) -> Result<Bundle> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/capabilities", capabilities(names));
    Ok(bundle)
}

fn capability_sets_are_those_of_the_configuration(s: &Scene) -> Result<Verdict> {
    let root = !s.at("restricted");
    for (names, mask) in [
        (&DEFAULT_CAPABILITIES[..], DEFAULT),
        (&["CAP_NET_BIND_SERVICE"][..], NET_BIND_SERVICE),
        (&["CAP_NET_BIND_SERVICE", "CAP_CHOWN"][..], NET_BIND_SERVICE | CHOWN),
    ] {
        let mut bundle = s.bundle()?;
        bundle.set("/process/capabilities", capabilities(names));
        // What is in the list makes no difference to the way: each of them once.
        let ways = if mask == DEFAULT { &Way::ALL[..] } else { &[Way::Run, Way::Exec] };
        for way in ways.iter().copied() {
            let seen = s.look(way, &bundle, &[])?;
            let sets = Sets::of(seen.pid)?;
            holds!(sets.all() & !mask == 0, "{way}: more than {mask:x}: {sets}");
            holds!(hardened(s) || !root || sets == Sets::roots(mask), "{way}: {sets} instead of {mask:x}");
            // The positive control: capabilities do arrive.
            ensure!(sets.bounding & NET_BIND_SERVICE != 0, "{way}: not even what every level allows: {sets}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn without_capabilities_in_the_configuration_all_sets_are_empty(s: &Scene) -> Result<Verdict> {
    for value in [None, Some(json!({})), Some(capabilities(&[]))] {
        let mut bundle = s.bundle()?;
        let ways = match value {
            None => &[Way::CreateStart, Way::Run, Way::Exec, Way::ExecTty][..],
            Some(_) => &[Way::Run, Way::Exec],
        };
        match value {
            None => bundle.unset("/process/capabilities"),
            Some(value) => bundle.set("/process/capabilities", value),
        };
        for way in ways.iter().copied() {
            let seen = s.look(way, &bundle, &[])?;
            let sets = Sets::of(seen.pid)?;
            holds!(sets.all() == 0, "{way}: {sets}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn an_unknown_capability_is_not_taken_for_another(s: &Scene) -> Result<Verdict> {
    let twin = ["CAP_NET_BIND_SERVICE"];
    let mut bundle = s.scripted("grep Cap /proc/self/status")?;
    bundle.set("/process/capabilities", capabilities(&twin));
    s.twin(&bundle)?;
    let spoiled =
        ["CAP_SYS_ADMIN ", "CAP_SYS_ADMIN\n", "CAP_SYS_ADMIN\u{0}X", "cap_sys_admin ", "21", "CAP_21", "CAP_63"];
    for name in spoiled.into_iter().chain(["CAP_NOT_THERE", "CAP_", "", "-1", "ALL", "CAP_ALL"]) {
        bundle.set("/process/capabilities", capabilities(&[&twin[..], &[name]].concat()));
        let attack = s.attack(&bundle)?;
        if let Some(verdict) = s.refused(&attack)? {
            match verdict {
                Verdict::Refused(_) => continue,
                other => return Ok(other),
            }
        }
        for line in attack.output.stdout.lines().filter(|line| line.starts_with("Cap")) {
            let set = line.split_whitespace().nth(1).context("no set")?;
            let set = u64::from_str_radix(set, 16)?;
            holds!(set & !NET_BIND_SERVICE == 0, "{name:?}: {line}");
        }
    }
    Ok(Verdict::safe())
}

fn net_raw_is_dropped_without_being_asked(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/capabilities", capabilities(&["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let sets = Sets::of(seen.pid)?;
        holds!(sets.all() & NET_RAW == 0, "{way}: {sets}");
        ensure!(sets.bounding & NET_BIND_SERVICE != 0, "{way}: no capability arrives at all: {sets}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn every_capability_but_net_bind_service_is_dropped(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/capabilities", capabilities(&DEFAULT_CAPABILITIES));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let sets = Sets::of(seen.pid)?;
        holds!(sets.all() & !NET_BIND_SERVICE == 0, "{way}: {sets}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

/// What a program gains that is root's and set-user-ID, or has capabilities of its own, on every way.
fn gained(s: &Scene, prepare: impl Fn(&Bundle) -> Result<()>, asked: bool) -> Result<Verdict> {
    let bounding = NET_BIND_SERVICE | CHOWN;
    let mut bundle = of_a_user(s, &["CAP_NET_BIND_SERVICE", "CAP_CHOWN"])?;
    // With no_new_privs a program keeps those of its file that the caller of execve has: here he has none.
    bundle.set("/process/capabilities/permitted", json!([])).set("/process/capabilities/effective", json!([]));
    if asked {
        bundle.set("/process/noNewPrivileges", json!(true));
    }
    prepare(&bundle)?;
    // `exec --cap` gives him one.
    for way in [Way::CreateStart, Way::Run, Way::Exec, Way::ExecTty] {
        let seen = s.look(way, &bundle, &[])?;
        let sets = Sets::of(seen.pid)?;
        let ids = host::status(seen.pid, "Uid")?;
        let effective = ids.split_whitespace().nth(1).context("no effective id")?;
        holds!(sets.all() & !bounding == 0, "{way}: beyond the bounding set: {sets}");
        let held = effective == "1000" && sets.permitted == 0;
        if asked || hardened(s) {
            let flag = host::status(seen.pid, "NoNewPrivs")?;
            holds!(held && flag == "1", "{way}: no_new_privs {flag}, effective uid {effective}, {sets}");
        } else {
            // The positive control: without no_new_privs the kernel does look at the file.
            ensure!(!held, "{way}: the program gained nothing at all: {sets}");
        }
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn make_set_user_id(bundle: &Bundle) -> Result<()> {
    let probe = bundle.rootfs().join("bin/probe");
    std::fs::set_permissions(probe, PermissionsExt::from_mode(0o4755)).context("chmod the probe")
}

/// All capabilities as permitted ones of the file, vfs_cap_data of version 2. Not as effective ones: execve would refuse
/// a program that does not get all of them.
fn give_capabilities(bundle: &Bundle) -> Result<()> {
    let words: [u32; 5] = [0x0200_0000, u32::MAX, 0, u32::MAX, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let probe = bundle.rootfs().join("bin/probe");
    rustix::fs::setxattr(&probe, "security.capability", &value, rustix::fs::XattrFlags::empty()).context("setxattr")
}

fn set_user_id_programs_stay_within_the_bounding_set(s: &Scene) -> Result<Verdict> {
    gained(s, make_set_user_id, false)
}

fn file_capabilities_stay_within_the_bounding_set(s: &Scene) -> Result<Verdict> {
    gained(s, give_capabilities, false)
}

fn no_new_privs_is_set_when_asked_and_holds(s: &Scene) -> Result<Verdict> {
    match gained(s, make_set_user_id, true)? {
        Verdict::Safe(_) => gained(s, give_capabilities, true),
        other => Ok(other),
    }
}

fn no_new_privs_is_set_without_being_asked(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/noNewPrivileges", json!(false));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let flag = host::status(seen.pid, "NoNewPrivs")?;
        holds!(flag == "1", "{way}: no_new_privs {flag}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn ambient_capabilities_are_permitted_and_inheritable_ones(s: &Scene) -> Result<Verdict> {
    let name = "CAP_NET_BIND_SERVICE";
    let mut refused = 0;
    for (permitted, inheritable) in [(false, false), (true, false), (false, true)] {
        let mut bundle = of_a_user(s, &[name])?;
        s.script(&mut bundle, "grep Cap /proc/self/status");
        s.twin(&bundle)?;
        let list = |with: bool| if with { json!([name]) } else { json!([]) };
        bundle.set("/process/capabilities/ambient", json!([name]));
        bundle.set("/process/capabilities/permitted", list(permitted));
        bundle.set("/process/capabilities/effective", list(permitted));
        bundle.set("/process/capabilities/inheritable", list(inheritable));
        let attack = s.attack(&bundle)?;
        match s.refused(&attack)? {
            Some(Verdict::Refused(_)) => refused += 1,
            Some(other) => return Ok(other),
            None => {
                // `exec --cap` makes it a permitted one, and where it is inheritable too it may become ambient.
                for way in Way::ALL.into_iter().filter(|way| !inheritable || *way != Way::ExecCap) {
                    let seen = s.look(way, &bundle, &[])?;
                    let sets = Sets::of(seen.pid)?;
                    holds!(sets.ambient == 0, "{way}: ambient without being permitted and inheritable: {sets}");
                    seen.end()?;
                }
            }
        }
    }
    Ok(Verdict::Safe(format!("{refused} of 3 refused")))
}

fn inheritable_and_ambient_sets_are_emptied(s: &Scene) -> Result<Verdict> {
    let mut bundle = of_a_user(s, &["CAP_NET_BIND_SERVICE"])?;
    for set in ["inheritable", "ambient"] {
        bundle.set(&format!("/process/capabilities/{set}"), json!(["CAP_NET_BIND_SERVICE"]));
    }
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let sets = Sets::of(seen.pid)?;
        holds!(sets.inheritable | sets.ambient | sets.permitted == 0, "{way}: {sets}");
        ensure!(sets.bounding != 0, "{way}: no capability arrives at all: {sets}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn a_user_other_than_root_has_no_ambient_capabilities(s: &Scene) -> Result<Verdict> {
    let bundle = of_a_user(s, &DEFAULT_CAPABILITIES)?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let sets = Sets::of(seen.pid)?;
        holds!(sets.ambient | sets.inheritable | sets.permitted | sets.effective == 0, "{way}: {sets}");
        ensure!(sets.bounding != 0, "{way}: no capability arrives at all: {sets}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn an_exec_as_another_user_has_no_effective_capabilities(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::EXEC {
        for user in ["1001", "1001:0"] {
            let seen = s.look(way, &bundle, &["--user", user])?;
            let sets = Sets::of(seen.pid)?;
            holds!(sets.ambient | sets.inheritable | sets.permitted | sets.effective == 0, "{way} {user}: {sets}");
            ensure!(sets.bounding != 0, "{way} {user}: no capability arrives at all: {sets}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn exec_cap_leaves_the_inheritable_set_empty(s: &Scene) -> Result<Verdict> {
    // The configuration has it; at privileged and for other runtimes also one that it has not.
    let more: &[&str] = if hardened(s) { &[] } else { &["CAP_NET_ADMIN"] };
    for name in [&["CAP_NET_BIND_SERVICE"], more].concat() {
        let bundle = s.bundle()?;
        for way in [Way::Exec, Way::ExecTty] {
            let seen = s.look(way, &bundle, &["--cap", name])?;
            let sets = Sets::of(seen.pid)?;
            holds!(sets.inheritable | sets.ambient == 0, "{way} --cap {name}: {sets}");
            let bit = if name == "CAP_NET_ADMIN" { 1 << 12 } else { NET_BIND_SERVICE };
            ensure!(sets.bounding & bit != 0, "{way} --cap {name} does not arrive: {sets}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn spec_writes_no_inheritable_capabilities(s: &Scene) -> Result<Verdict> {
    let dir = s.ground.dir.join("spec");
    std::fs::create_dir(&dir)?;
    let mut command = s.ground.command(&["spec"]);
    command.current_dir(&dir);
    s.ground.recorder.run(command)?.success()?;
    let spec: Value = serde_json::from_slice(&std::fs::read(dir.join("config.json"))?)?;
    let sets = &spec["process"]["capabilities"];
    let empty = |name: &str| sets[name].as_array().is_none_or(Vec::is_empty);
    ensure!(!empty("bounding"), "no bounding set: {sets}");
    holds!(empty("inheritable"), "capabilities {sets}");
    Ok(Verdict::safe())
}

fn exec_cap_as_another_user_leaves_inheritable_and_ambient_empty(s: &Scene) -> Result<Verdict> {
    let bundle = of_a_user(s, &["CAP_NET_BIND_SERVICE"])?;
    for way in [Way::Exec, Way::ExecTty] {
        for user in ["1000", "1001:1001"] {
            let seen = s.look(way, &bundle, &["--user", user, "--cap", "CAP_NET_BIND_SERVICE"])?;
            let sets = Sets::of(seen.pid)?;
            holds!(sets.inheritable | sets.ambient == 0, "{way} --user {user}: {sets}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn exec_beyond_the_containers_capabilities_is_refused(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let twin = s.exec_script(&container, &["--cap", "CAP_NET_BIND_SERVICE"], "true")?;
    ensure!(twin.ran, "the benign twin did not run: {}", twin.output);
    for name in ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"] {
        let attack = s.exec_script(&container, &["--cap", name], "true")?;
        holds!(!attack.ran && attack.output.code != 0, "exec --cap {name} ran");
    }
    Ok(Verdict::Refused("exec --cap of what the configuration does not have".to_owned()))
}
