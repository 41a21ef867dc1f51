//! What policy adds to a plan.

use super::*;
use crate::plan::{Confinement, ExecRequest, Scratch, SeccompLayer, exec};
use crate::program::{SCOPE_ABSTRACT_UNIX_SOCKET, Slot};
use seccomp_profiles::Profile;

fn confined(confinement: Confinement, changes: &[(&str, Value)]) -> Result<Plan, Error> {
    let request = CreateRequest { confinement, ..request() };
    create(&config(changes), &request, &facts())
}

fn exec_of(confinement: Confinement, changes: &[(&str, Value)]) -> Result<Plan, Error> {
    let spec = config(changes);
    let process = spec.process.clone().unwrap();
    let id = "c1".to_string();
    let request = ExecRequest { id, process, extra_env: Vec::new(), cgroup_tasks: Vec::new(), confinement };
    exec(&spec, &request, &facts())
}

fn layers(seccomp: Vec<SeccompLayer>) -> Confinement {
    Confinement { seccomp, ..Confinement::default() }
}

fn overlay() -> SeccompLayer {
    SeccompLayer::Overlay { allow: Vec::new() }
}

fn family(name: &str) -> SeccompLayer {
    SeccompLayer::Family { name: name.into() }
}

/// An administrator's profile that answers so where no rule of its own says else.
fn profile(default: &str, rules: Value) -> SeccompLayer {
    let json = json!({"defaultAction": default, "syscalls": rules});
    let profile = Profile::from_json(json.to_string().as_bytes()).unwrap();
    SeccompLayer::Profile { name: "site".into(), profile: Box::new(profile) }
}

/// The instructions that are loaded.
fn loaded(plan: &Plan) -> &[u64] {
    find(plan, |op| if let Op::Seccomp { filter, .. } = op { Some(&**filter) } else { None }).unwrap().1
}

/// The filter's answer to a call (SECCOMP_RET_*), by an interpreter of the few instructions that there are.
fn answer(plan: &Plan, call: &str, args: [u64; 6]) -> seccomp_profiles::Action {
    use seccomp_profiles::{Arch, Insn, SeccompData, Syscall, interpret::Program};
    let insns = loaded(plan).iter().map(|word| {
        let b = word.to_ne_bytes();
        let (code, k) = (u16::from_ne_bytes([b[0], b[1]]), u32::from_ne_bytes([b[4], b[5], b[6], b[7]]));
        Insn { code, jt: b[2], jf: b[3], k }
    });
    let number = Syscall::from_name(call).unwrap().number(Arch::X86_64).unwrap();
    let program = Program::new(&insns.collect::<Vec<_>>()).unwrap();
    program.run(&SeccompData::new(Arch::X86_64, number, args))
}

const ALLOW_ALL: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;

fn own(text: &str) -> (&'static str, Value) {
    ("/linux/seccomp", serde_json::from_str(text).unwrap())
}

#[test]
fn without_layers_and_profile_there_is_no_filter() {
    let plan = confined(Confinement::default(), &[]).unwrap();
    assert_eq!(plan.seccomp, None);
    assert!(!plan.program.iter().any(|op| matches!(op, Op::Seccomp { .. } | Op::Landlock { .. })));
}

#[test]
fn the_strictest_answer_of_all_layers_is_one_filter() {
    use seccomp_profiles::Action;
    const TIOCSTI: u64 = 0x5412;
    let below = || {
        layers(vec![
            overlay(),
            profile("SCMP_ACT_ALLOW", json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}])),
        ])
    };
    let rules = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7}]}"#;
    for plan in [confined(below(), &[own(rules)]).unwrap(), exec_of(below(), &[own(rules)]).unwrap()] {
        let filters = plan.program.iter().filter(|op| matches!(op, Op::Seccomp { .. })).count();
        assert_eq!(filters, 1);
        assert_eq!(answer(&plan, "ioctl", [0, TIOCSTI, 0, 0, 0, 0]), Action::Errno(1));
        assert_eq!(answer(&plan, "mkdir", [0; 6]), Action::Errno(30));
        assert_eq!(answer(&plan, "chmod", [0; 6]), Action::Errno(7));
        assert_eq!(answer(&plan, "read", [0; 6]), Action::Allow);
        let summary = plan.seccomp.unwrap();
        assert_eq!(summary.layers, ["overlay", "profile site"]);
        assert_eq!(summary.profile.unwrap().default_action, "SCMP_ACT_ALLOW");
    }
}

#[test]
fn a_token_takes_its_rule_out_of_the_overlay() {
    use seccomp_profiles::Action;
    let allow = vec!["terminal-input".to_string()];
    let plan = confined(layers(vec![SeccompLayer::Overlay { allow }]), &[]).unwrap();
    assert_eq!(answer(&plan, "ioctl", [0, 0x5412, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(plan.seccomp.unwrap().layers, ["overlay without terminal-input"]);
}

#[test]
fn families_are_loaded_for_the_bounding_set_of_the_process() {
    use seccomp_profiles::Action;
    let with = |caps: Value| {
        let caps = ("/process/capabilities", json!({"bounding": caps}));
        [confined, exec_of].map(|plan| {
            let plan = plan(layers(vec![family("default")]), std::slice::from_ref(&caps)).unwrap();
            answer(&plan, "chroot", [0; 6])
        })
    };
    assert_eq!(with(json!(["CAP_SYS_CHROOT"])), [Action::Allow; 2]);
    assert_eq!(with(json!([])), [Action::Errno(1); 2]);
}

#[test]
fn the_profile_alone_is_what_the_crate_compiles() {
    let rules = r#"{"defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                    "syscalls": [{"names": ["execve", "read"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let plan = plan(&[own(rules)]);
    let compiled =
        seccomp_profiles::compile(&Profile::from_json(rules.as_bytes()).unwrap(), seccomp_profiles::Arch::X86_64);
    let compiled = compiled.unwrap();
    let load = find(&plan, |op| match op {
        Op::Seccomp { flags, instructions, filter, .. } => Some((*flags, *instructions, filter.len())),
        _ => None,
    });
    assert_eq!(load.unwrap().1, (compiled.flags, compiled.insns.len(), compiled.insns.len()));
    assert!(plan.seccomp.unwrap().layers.is_empty());
}

#[test]
fn what_is_wrong_with_a_layer_names_the_layer() {
    let refused = |layer: SeccompLayer, own_profile: &str, words: &str| {
        let error = confined(layers(vec![overlay(), layer]), &[own(own_profile)]).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("(/linux/seccomp)"), "{error}");
    };
    let no_token = SeccompLayer::Overlay { allow: vec!["nothing".into()] };
    refused(no_token, ALLOW_ALL, "seccomp: overlay without nothing: ");
    refused(family("nobody"), ALLOW_ALL, "seccomp: profile nobody: unknown seccomp profile \"nobody\"");
    let beyond = json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}]);
    refused(profile("SCMP_ACT_ALLOW", beyond), ALLOW_ALL, "seccomp: profile site: ");
    let refuses = "the profile, with overlay, profile site below it, denies execve";
    refused(profile("SCMP_ACT_ERRNO", json!([])), ALLOW_ALL, refuses);
}

#[test]
fn a_filter_of_layers_alone_keeps_the_capability_that_loads_it() {
    let plan = confined(layers(vec![overlay()]), &[]).unwrap();
    let effective = |plan: &Plan| {
        find(plan, |op| if let Op::Capabilities { effective, .. } = op { Some(*effective) } else { None }).unwrap().1
    };
    assert_eq!(effective(&plan), 1 << 21);
    let plan = confined(layers(vec![overlay()]), &[("/process/noNewPrivileges", json!(true))]).unwrap();
    assert_eq!(effective(&plan), 0);
}

fn scratch() -> Confinement {
    let one =
        |destination: &str, mode| Scratch { destination: destination.into(), size: 1 << 20, mode, copy_up: false };
    Confinement { scratch: vec![one("/tmp", 0o1777), one("/run", 0o755)], ..Confinement::default() }
}

fn mounts(plan: &Plan) -> Vec<(&str, bool)> {
    let mounts = plan.program.iter().filter_map(|op| match op {
        Op::Mount { destination, if_directory, .. } => Some((&**destination, *if_directory)),
        Op::Bind { destination, .. } => Some((&**destination, false)),
        _ => None,
    });
    mounts.collect()
}

#[test]
fn scratch_goes_where_the_config_mounts_nothing_and_below_its_mounts() {
    let listed = json!([
        {"destination": "/run/secrets", "type": "bind", "source": "/x", "options": ["bind"]},
        {"destination": "/tmp/", "type": "tmpfs", "source": "tmpfs"},
    ]);
    let plan = confined(scratch(), &[("/mounts", listed)]).unwrap();
    assert_eq!(mounts(&plan), [("/run", true), ("/run/secrets", false), ("/tmp", false)]);
}

#[test]
fn scratch_is_the_users_own_and_has_a_size_a_mode_and_no_way_to_run_anything() {
    let option = |plan: &Plan, at: &str| {
        let found = find(plan, |op| match op {
            Op::Mount { destination, options, attributes, .. } if destination == at => {
                let words = options.iter().map(|(key, value)| format!("{key}={}", value.clone().unwrap()));
                Some((words.collect::<Vec<_>>().join(","), attributes.set))
            }
            _ => None,
        });
        found.unwrap().1
    };
    let plan = confined(scratch(), &[]).unwrap();
    assert_eq!(option(&plan, "/tmp"), ("source=tmpfs,mode=1777,size=1048576".into(), 0xe));
    let plan = confined(scratch(), &[("/process/user", json!({"uid": 7, "gid": 8}))]).unwrap();
    assert_eq!(option(&plan, "/run"), ("source=tmpfs,mode=755,size=1048576,uid=7,gid=8".into(), 0xe));
    assert!(mounts(&exec_of(scratch(), &[]).unwrap()).is_empty());
}

#[test]
fn scratch_has_the_mount_label() {
    let label = json!("system_u:object_r:container_file_t:s0:c1,c2");
    let request = CreateRequest { confinement: scratch(), ..request() };
    let facts = Facts { selinux: true, ..facts() };
    let plan = create(&config(&[("/linux/mountLabel", label)]), &request, &facts).unwrap();
    let labelled = |op: &Op| matches!(op, Op::Mount { options, .. } if options.iter().any(|(key, _)| key == "context"));
    assert_eq!(plan.program.iter().filter(|op| labelled(op)).count(), 2);
}

#[test]
fn abstract_sockets_are_cut_off_between_the_last_hook_and_the_filter() {
    let scope = || Confinement { scope_abstract_sockets: true, ..layers(vec![overlay()]) };
    let changes =
        [("/process/noNewPrivileges", json!(true)), ("/hooks", json!({"startContainer": [{"path": "/bin/true"}]}))];
    for plan in [confined(scope(), &changes).unwrap(), exec_of(scope(), &changes).unwrap()] {
        let names: Vec<u8> = plan
            .program
            .iter()
            .rev()
            .take(3)
            .map(|op| match op {
                Op::Execute { .. } => 0,
                Op::Seccomp { .. } => 1,
                Op::Landlock { scoped: SCOPE_ABSTRACT_UNIX_SOCKET } => 2,
                _ => 9,
            })
            .collect();
        assert_eq!(names, [0, 1, 2]);
    }
}

#[test]
fn the_scope_of_abstract_sockets_takes_a_kernel_and_a_privilege() {
    let scope = || Confinement { scope_abstract_sockets: true, ..Confinement::default() };
    let error = confined(scope(), &[]).unwrap_err().to_string();
    assert!(error.contains("takes noNewPrivileges") && error.contains("(/process/noNewPrivileges)"), "{error}");
    // A filter without no_new_privs keeps CAP_SYS_ADMIN until execve.
    assert!(confined(Confinement { seccomp: vec![overlay()], ..scope() }, &[]).is_ok());
    let request = CreateRequest { confinement: scope(), ..request() };
    let old = Facts { landlock_abi: 5, ..facts() };
    let error = create(&config(&[("/process/noNewPrivileges", json!(true))]), &request, &old).unwrap_err().to_string();
    assert!(error.contains("version 6 of landlock (Linux 6.12), this kernel has 5"), "{error}");
}

#[test]
fn a_plan_tells_what_was_added() {
    let all = Confinement { seccomp: vec![overlay(), family("default")], scope_abstract_sockets: true, ..scratch() };
    let text =
        crate::plan::explain::text(&confined(all.clone(), &[("/process/noNewPrivileges", json!(true))]).unwrap());
    for words in ["overlay, profile default; ", "landlock", "if there is such a directory"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let text = crate::plan::explain::text(&confined(all, &[own(ALLOW_ALL)]).unwrap());
    assert!(text.contains("and what these refuse: overlay, profile default"), "{text}");
}

#[test]
fn the_notify_socket_is_on_top_of_scratch_and_casemates_own() {
    let request = CreateRequest { confinement: scratch(), notify_directory: Some("/state/notify".into()), ..request() };
    let plan = create(&config(&[]), &request, &facts()).unwrap();
    assert_eq!(mounts(&plan), [("/tmp", true), ("/run", true), ("/run/notify", false)]);
    let tree = find(&plan, |op| if let Op::Bind { tree: Slot(tree), .. } = op { Some(*tree) } else { None }).unwrap().1;
    let handle = crate::plan::Handle::NotifyDirectory { path: "/state/notify".into() };
    assert_eq!(plan.handles[tree as usize], handle);
}
