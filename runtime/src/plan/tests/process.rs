//! The process: what it gets and in which order it loses the rest.

use super::*;
use crate::plan::{ExecRequest, exec};

fn position(plan: &Plan, is: impl Fn(&Op) -> bool) -> usize {
    plan.program.iter().position(is).unwrap()
}

fn sets(plan: &Plan) -> (u64, u64, u64, u64) {
    let found = find(plan, |op| match op {
        Op::Capabilities { effective, permitted, inheritable } => Some((*effective, *permitted, *inheritable)),
        _ => None,
    });
    let bounding = find(plan, |op| if let Op::Bounding { keep, .. } = op { Some(*keep) } else { None });
    let (effective, permitted, inheritable) = found.unwrap().1;
    (bounding.unwrap().1, effective, permitted, inheritable)
}

#[test]
fn a_container_without_a_process_can_be_created() {
    let plan = plan(&[("/process", json!(null))]);
    assert!(matches!(plan.program.last(), Some(Op::WaitStart { control: false })));
    assert!(!plan.program.iter().any(|op| matches!(op, Op::Execute { .. } | Op::Seccomp { .. })));
}

#[test]
fn capabilities_that_are_not_asked_for_are_dropped_from_every_set() {
    assert_eq!(sets(&plan(&[])), (0, 0, 0, 0));
    let asked = json!({"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["cap_chown"]});
    assert_eq!(sets(&plan(&[("/process/capabilities", asked)])), (1, 1, 1, 0));
}

#[test]
fn capabilities_that_cannot_be_had_are_left_out_with_a_warning() {
    let names = json!(["CAP_BANANA", "CAP_CHOWN", "CAP_KILL"]);
    let spec = config(&[("/process/capabilities", json!({"bounding": names, "permitted": names, "effective": names}))]);
    let facts = Facts { bounding: 1, permitted: 1, ..facts() };
    let plan = create(&spec, &request(), &facts).unwrap();
    assert_eq!(sets(&plan), (1, 1, 1, 0));
    assert_eq!(plan.warnings, ["ignoring unknown or unavailable capabilities: [CAP_BANANA CAP_KILL]"]);
}

#[test]
fn sets_that_contradict_each_other_become_what_the_kernel_takes() {
    let asked = json!({
        "bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_CHOWN", "CAP_KILL"],
    });
    let plan = plan(&[("/process/capabilities", asked)]);
    assert_eq!(sets(&plan), (1, 1, 1, 1));
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
    assert!(plan.program.contains(&Op::Ambient { set: 1 }));
}

#[test]
fn only_without_no_new_privileges_a_filter_needs_sys_admin_until_execve() {
    let allow = ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    let admin = 1 << 21;
    assert_eq!(sets(&plan(std::slice::from_ref(&allow))), (0, admin, admin, 0));
    let confined = plan(&[allow, ("/process/noNewPrivileges", json!(true))]);
    assert_eq!(sets(&confined), (0, 0, 0, 0));
    assert!(position(&confined, |op| *op == Op::NoNewPrivileges) < confined.program.len() - 2);
}

#[test]
fn privileges_go_in_the_one_order_that_works() {
    let plan = plan(&[
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}])),
        ("/process/noNewPrivileges", json!(true)),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"})),
    ]);
    let order = [
        position(&plan, |op| matches!(op, Op::Keyring)),
        position(&plan, |op| matches!(op, Op::CloseHandles)),
        position(&plan, |op| matches!(op, Op::Rlimit { .. })),
        position(&plan, |op| matches!(op, Op::WorkingDirectory { second: false, .. })),
        position(&plan, |op| matches!(op, Op::Bounding { .. })),
        position(&plan, |op| matches!(op, Op::Identity { .. })),
        position(&plan, |op| matches!(op, Op::WorkingDirectory { second: true, .. })),
        position(&plan, |op| matches!(op, Op::Capabilities { .. })),
        position(&plan, |op| matches!(op, Op::NoNewPrivileges)),
        position(&plan, |op| matches!(op, Op::FindExecutable { .. })),
        position(&plan, |op| matches!(op, Op::Ready)),
        position(&plan, |op| matches!(op, Op::WaitStart { .. })),
        position(&plan, |op| matches!(op, Op::Seccomp { .. })),
        position(&plan, |op| matches!(op, Op::Execute { .. })),
    ];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn the_callers_variables_win_over_the_configs() {
    let spec = config(&[("/process/env", json!(["LISTEN_FDS=9", "A=1", "A=2"]))]);
    let request = CreateRequest { extra_env: vec!["LISTEN_FDS=2".into(), "LISTEN_PID=1".into()], ..request() };
    let plan = create(&spec, &request, &facts()).unwrap();
    let Some(Op::Execute { env, .. }) = plan.program.last() else { panic!() };
    assert_eq!(*env, ["LISTEN_FDS=2", "A=2", "LISTEN_PID=1"]);
}

#[test]
fn home_is_looked_up_only_where_it_is_not_set() {
    for (env, wanted) in [
        (json!([]), Some(7)),
        (json!(["HOME="]), Some(7)),
        (json!(["HOME=/x"]), None),
        (json!(["HOME=/x", "HOME="]), Some(7)),
    ] {
        let plan = plan(&[("/process/env", env), ("/process/user/uid", json!(7))]);
        assert_eq!(plan.needs_home, wanted);
    }
}

#[test]
fn the_umask_is_the_callers_unless_the_config_has_one() {
    for (umask, wanted) in [(json!(null), 0o022), (json!(0o077), 0o077), (json!(0), 0)] {
        assert!(plan(&[("/process/user/umask", umask)]).program.contains(&Op::Umask { mask: wanted }));
    }
}

#[test]
fn the_size_of_a_terminal_counts_only_with_a_terminal() {
    let size = ("/process/consoleSize", json!({"height": 24, "width": 80}));
    assert!(plan(std::slice::from_ref(&size)).program.contains(&Op::Session { terminal: false }));
    let plan = plan(&[size, ("/process/terminal", json!(true)), ("/process/user/uid", json!(7))]);
    assert!(plan.program.contains(&Op::Terminal { rows: 24, columns: 80, console: true, uid: 7 }));
}

#[test]
fn labels_are_written_where_the_lsm_is_there() {
    let facts = Facts { selinux: true, apparmor: true, ..facts() };
    let spec = config(&[("/process/selinuxLabel", json!("a:b:c:s0")), ("/process/apparmorProfile", json!("p"))]);
    let plan = create(&spec, &request(), &facts).unwrap();
    for (file, label) in
        [("self/attr/keycreate", "a:b:c:s0"), ("self/attr/exec", "a:b:c:s0"), ("self/attr/apparmor/exec", "exec p")]
    {
        assert!(plan.program.contains(&Op::Label { file: file.into(), label: label.into() }), "{file}");
    }
    let without = CreateRequest { no_new_keyring: true, ..request() };
    let plan = create(&spec, &without, &facts).unwrap();
    assert!(!plan.program.iter().any(|op| matches!(op, Op::Keyring)));
}

#[test]
fn every_rlimit_of_linux_has_its_number() {
    let names = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME";
    for (number, name) in names.split(' ').enumerate() {
        let name = format!("RLIMIT_{name}");
        let plan = plan(&[("/process/rlimits", json!([{"type": name, "soft": 1, "hard": u64::MAX}]))]);
        let wanted = Op::Rlimit { name, resource: number as u32, soft: 1, hard: u64::MAX };
        assert!(plan.program.contains(&wanted));
    }
}

#[test]
fn a_process_of_exec_joins_confines_itself_and_makes_nothing() {
    let spec = config(&[("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}))]);
    let process = spec.process.clone().unwrap();
    let request = ExecRequest {
        id: "c1".into(),
        process,
        extra_env: vec![],
        cgroup_tasks: vec!["pids".into()],
        confinement: Default::default(),
    };
    let plan = exec(&spec, &request, &facts()).unwrap();
    let made = |op: &Op| matches!(op, Op::Mount { .. } | Op::Pivot | Op::Unshare { .. } | Op::MakeDirectory { .. });
    assert!(plan.cgroup.is_none() && !plan.program.iter().any(made));
    let cgroup = position(&plan, |op| matches!(op, Op::JoinCgroup { .. }));
    let container = position(&plan, |op| matches!(op, Op::JoinContainer { .. }));
    assert!(cgroup < container && container < position(&plan, |op| matches!(op, Op::Bounding { .. })));
    assert!(matches!(plan.program[plan.program.len() - 2..], [Op::Seccomp { .. }, Op::Execute { .. }]));
}

#[test]
fn a_process_of_exec_is_seen_in_the_pid_namespace_only_when_nothing_but_the_filter_is_left_to_do() {
    let spec = config(&[("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}))]);
    let process = spec.process.clone().unwrap();
    let request = ExecRequest {
        id: "c1".into(),
        process,
        extra_env: vec![],
        cgroup_tasks: vec![],
        confinement: Default::default(),
    };
    let plan = exec(&spec, &request, &facts()).unwrap();
    let entered = position(&plan, |op| *op == Op::EnterPidNamespace);
    let after = &plan.program[entered + 1..];
    assert!(matches!(after, [Op::Session { .. }, Op::Seccomp { .. }, Op::Execute { .. }]), "{after:?}");
    assert!(entered > position(&plan, |op| matches!(op, Op::WaitStart { control: true })));
}

#[test]
fn a_process_of_exec_does_not_inherit_the_session_keyring() {
    let spec = config(&[]);
    let process = spec.process.clone().unwrap();
    let request = ExecRequest {
        id: "c1".into(),
        process,
        extra_env: vec![],
        cgroup_tasks: vec![],
        confinement: Default::default(),
    };
    assert!(exec(&spec, &request, &facts()).unwrap().program.contains(&Op::Keyring));
}
