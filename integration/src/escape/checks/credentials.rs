//! Who the program is: user and group ids.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::{Seen, Way};
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

crate::checks! {
    "A6" supplementary_groups_are_those_of_the_configuration;
    "CVE-2022-36109" the_callers_supplementary_groups_are_not_inherited;
    "A7" a_user_cannot_become_another_or_change_his_groups;
    "A8" the_largest_ids_are_taken_as_they_are;
    "A8" ids_of_the_configuration_that_do_not_exist_are_refused;
    "CVE-2024-40635" ids_of_an_exec_that_do_not_exist_are_refused;
    "CVE-2026-30892" an_exec_as_user_1_runs_as_user_1 [Advisory("crun", "CVE-2026-30892")];
    "CVE-2016-3697" a_numeric_user_is_never_looked_up_by_name [Advisory("runc", "CVE-2016-3697")];
}

/// The supplementary groups of a program without its primary one, which a runtime may list, too.
fn groups(seen: &Seen) -> Result<Vec<String>> {
    let gid = host::status(seen.pid, "Gid")?;
    let primary = gid.split_whitespace().next().context("no group")?;
    let groups = host::status(seen.pid, "Groups")?;
    let mut list: Vec<String> = groups.split_whitespace().filter(|g| *g != primary).map(str::to_owned).collect();
    list.sort_unstable();
    Ok(list)
}

fn supplementary_groups_are_those_of_the_configuration(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/user/additionalGids", json!([3001, 3002]));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let groups = groups(&seen)?;
        holds!(groups == ["3001", "3002"], "{way}: groups {groups:?}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn the_callers_supplementary_groups_are_not_inherited(s: &Scene) -> Result<Verdict> {
    let own = s.host("setpriv", &["--groups", "4242", "id", "-G"])?;
    ensure!(own.stdout.split_whitespace().any(|group| group == "4242"), "the caller has no group 4242: {own}");
    s.ground.caller("exec setpriv --groups 4242,0 -- \"$@\"")?;
    for (list, wanted) in [(None, &[][..]), (Some(json!([])), &[]), (Some(json!([3001])), &["3001"])] {
        let mut bundle = s.bundle()?;
        let ways = if list.is_none() { &Way::ALL[..] } else { &[Way::Run, Way::Exec] };
        if let Some(list) = list {
            bundle.set("/process/user/additionalGids", list);
        }
        for way in ways.iter().copied() {
            let seen = s.look(way, &bundle, &[])?;
            let groups = groups(&seen)?;
            holds!(groups == wanted, "{way}: groups {groups:?} instead of {wanted:?}");
            seen.end()?;
        }
    }
    // As another user, whose groups the configuration does not list.
    let bundle = s.bundle()?;
    for way in Way::EXEC {
        let seen = s.look(way, &bundle, &["--user", "1001:1001"])?;
        let groups = groups(&seen)?;
        holds!(groups.is_empty(), "{way} --user 1001:1001: groups {groups:?}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn a_user_cannot_become_another_or_change_his_groups(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    for way in Way::ALL {
        let output = s.said(way, &bundle, &[], &["/bin/probe", "become"])?;
        // A terminal may put something before it.
        let line = output.stdout.lines().find_map(|line| line.get(line.find('{')?..));
        let line = line.with_context(|| format!("{output}"))?;
        let answers: Value = serde_json::from_str(line.trim())?;
        ensure!(answers["stay"] == "ok", "{way}: cannot even stay who he is: {line}");
        for call in ["setgroups", "setgid", "setuid"] {
            let answer = answers[call].as_str().context("no answer")?;
            holds!(answer.contains("not permitted"), "{way}: {call}: {answer}");
        }
    }
    Ok(Verdict::safe())
}

fn ids(pid: i32) -> Result<(String, String)> {
    Ok((host::status(pid, "Uid")?, host::status(pid, "Gid")?))
}

/// Real, effective, saved and file system id, all the same.
fn four(id: &str) -> String {
    [id; 4].join("\t")
}

fn the_largest_ids_are_taken_as_they_are(s: &Scene) -> Result<Verdict> {
    let mut refused = 0;
    for id in ["65536", "2147483647", "2147483648", "4294967294"] {
        let mut bundle = s.scripted("true")?;
        s.twin(&bundle)?;
        let n: u64 = id.parse()?;
        bundle.set("/process/user", json!({"uid": n, "gid": n, "additionalGids": [n]}));
        let attack = s.attack(&bundle)?;
        match s.refused(&attack)? {
            Some(Verdict::Refused(_)) if n > 2_147_483_647 => {
                refused += 1;
                continue;
            }
            Some(other) => return Ok(other),
            None => {}
        }
        for way in [Way::CreateStart, Way::Run, Way::Exec] {
            let seen = s.look(way, &bundle, &[])?;
            holds!(ids(seen.pid)? == (four(id), four(id)), "{way}: {:?} instead of {id}", ids(seen.pid)?);
            seen.end()?;
        }
        let seen = s.look(Way::Exec, &s.bundle()?, &["--user", &format!("{id}:{id}")])?;
        holds!(ids(seen.pid)? == (four(id), four(id)), "exec --user: {:?} instead of {id}", ids(seen.pid)?);
        seen.end()?;
    }
    Ok(Verdict::Safe(if refused > 0 { format!("{refused} of 4 refused") } else { String::new() }))
}

/// Values that are no id: `(uid_t) -1`, which means "no change" to the kernel, and what does not fit into 32 bits.
const NO_IDS: [&str; 7] =
    ["-1", "4294967295", "4294967296", "8589934592", "18446744073709551615", "18446744073709551616", "1.5"];

/// The rest of a check of one configuration that must be refused: `None` when it was.
fn must_refuse(s: &Scene, bundle: &crate::bundle::Bundle, what: &str) -> Result<Option<Verdict>> {
    let attack = s.attack(bundle)?;
    Ok(match s.refused(&attack)? {
        Some(Verdict::Refused(_)) => None,
        Some(other) => Some(other),
        None => Some(Verdict::Unsafe(format!("{what} ran: {}", attack.output.stdout.trim()))),
    })
}

fn ids_of_the_configuration_that_do_not_exist_are_refused(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.scripted("id")?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [1000]}));
    s.twin(&bundle)?;
    for place in ["uid", "gid", "additionalGids/0"] {
        for value in NO_IDS {
            let mut bundle = bundle.clone();
            bundle.set(&format!("/process/user/{place}"), serde_json::from_str(value)?);
            if let Some(verdict) = must_refuse(s, &bundle, &format!("{place} {value}"))? {
                return Ok(verdict);
            }
        }
    }
    Ok(Verdict::Refused(format!("each of {} values in three places", NO_IDS.len())))
}

fn ids_of_an_exec_that_do_not_exist_are_refused(s: &Scene) -> Result<Verdict> {
    let users = [
        ":1",
        "1x",
        "x1",
        "1:4294967296",
        "1:4294967295",
        "1:-1",
        "1:1x",
        "4294967295",
        "4294967296",
        "-1",
        "1:1:1",
        "4294967296:4294967296",
        "8589934592",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551617",
        "\u{661}",
    ];
    // Other spellings of 1, which may be read as that and as nothing else.
    let spellings = ["1:", " 1", "1 ", "+1", "0x1", "01", "1\n"];
    let container = s.sleeping(&s.bundle()?)?;
    let twin = s.exec_script(&container, &["--user", "1:1"], "id")?;
    ensure!(twin.ran, "the benign twin did not run: {}", twin.output);
    for (user, exists) in users.map(|user| (user, false)).into_iter().chain(spellings.map(|user| (user, true))) {
        let attack = s.exec_script(&container, &[&format!("--user={user}")], "id -u; id -g")?;
        let as_1 = attack.output.stdout.lines().nth(1) == Some("1");
        holds!(!attack.ran || exists && as_1, "exec --user {user:?} ran as {:?}", attack.output.stdout.trim());
        holds!(attack.ran || attack.output.code != 0, "exec --user {user:?} did nothing and did not say so");
    }
    Ok(Verdict::Refused(format!("each of {} users", users.len())))
}

fn an_exec_as_user_1_runs_as_user_1(s: &Scene) -> Result<Verdict> {
    for user in ["1", "1:1", "1:2", "2", "9", "10"] {
        let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        // The number is read the same on every way: all of them for the advisory's own.
        let ways = if user == "1" { &Way::EXEC[..] } else { &[Way::Exec] };
        let bundle = s.bundle()?;
        for way in ways.iter().copied() {
            let seen = s.look(way, &bundle, &["--user", user])?;
            let (uids, gids) = ids(seen.pid)?;
            holds!(uids == four(uid), "{way} --user {user}: uid {uids}");
            holds!(gid.is_none_or(|gid| gids == four(gid)), "{way} --user {user}: gid {gids}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn a_numeric_user_is_never_looked_up_by_name(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    let etc = bundle.rootfs().join("etc");
    std::fs::write(etc.join("passwd"), "1000:x:0:0:root:/root:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n")?;
    std::fs::write(etc.join("group"), "1000:x:0:\nroot:x:0:1000\n")?;
    for way in Way::EXEC {
        for user in ["1000", "1000:1000"] {
            let seen = s.look(way, &bundle, &["--user", user])?;
            let (uids, gids) = ids(seen.pid)?;
            holds!(uids == four("1000"), "{way} --user {user}: uid {uids}");
            holds!(user == "1000" || gids == four("1000"), "{way} --user {user}: gid {gids}");
            let groups = groups(&seen)?;
            holds!(user == "1000" || !groups.contains(&"0".to_owned()), "{way} --user {user}: groups {groups:?}");
            seen.end()?;
        }
    }
    let mut config = bundle;
    config.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    for way in Way::INIT {
        let seen = s.look(way, &config, &[])?;
        holds!(ids(seen.pid)? == (four("1000"), four("1000")), "{way}: {:?}", ids(seen.pid)?);
        seen.end()?;
    }
    Ok(Verdict::safe())
}
