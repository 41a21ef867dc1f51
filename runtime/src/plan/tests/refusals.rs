//! What is refused before anything is done, and in which words.

use super::*;
use crate::error::Kind;
use crate::plan::limits;
use crate::plan::{ExecRequest, exec};
use crate::spec::Process;

#[test]
fn the_smallest_configuration_is_planned() {
    assert!(plan(&[]).warnings.is_empty());
}

#[test]
fn fields_of_the_whole_configuration_are_checked() {
    let long = "x".repeat(65);
    refused(&[
        ("/ociVersion", json!("9.9.9"), "is not one of 1.x.y", "/ociVersion"),
        ("/ociVersion", json!("banana"), "is not a semantic version", "/ociVersion"),
        ("/ociVersion", json!(null), "ociVersion is missing", "/ociVersion"),
        ("/root", json!(null), "root is required", "/root"),
        ("/root/path", json!(""), "root.path is empty", "/root/path"),
        ("/hostname", json!(long), "hostname has 65 bytes, more than 64", "/hostname"),
        ("/domainname", json!(long), "domainname has 65 bytes, more than 64", "/domainname"),
        ("/annotations", json!({"": "x"}), "an annotation has an empty name", "/annotations"),
        (
            "/linux/rootfsPropagation",
            json!("banana"),
            "rootfsPropagation=banana is not supported",
            "/linux/rootfsPropagation",
        ),
        ("/linux/maskedPaths", json!(["proc"]), "maskedPaths: path \"proc\" is not absolute", "/linux/maskedPaths/0"),
        (
            "/linux/readonlyPaths",
            json!(["/a", ""]),
            "readonlyPaths: path \"\" is not absolute",
            "/linux/readonlyPaths/1",
        ),
        ("/linux/readonlyPaths", json!(["/proc/.."]), "is the root", "/linux/readonlyPaths/0"),
        ("/linux/cgroupsPath", json!("/a\n"), "line break", "/linux/cgroupsPath"),
        ("/linux/cgroupsPath", json!("/.."), "names no cgroup", "/linux/cgroupsPath"),
        (
            "/linux/mountLabel",
            json!("l"),
            "mount label is specified in config, but selinux is disabled or not supported",
            "/linux/mountLabel",
        ),
    ]);
}

#[test]
fn namespaces_are_checked() {
    let with = |ns: Value| json!([{"type": "mount"}, ns]);
    let at = "/linux/namespaces";
    refused(&[
        (at, with(json!({"type": "banana"})), "namespace \"banana\" does not exist", "/linux/namespaces/1"),
        (
            at,
            with(json!({"type": "mount"})),
            "malformed spec file: duplicated ns {\"mount\" \"\"}",
            "/linux/namespaces/1",
        ),
        (at, with(json!({"type": "ipc", "path": "x"})), "namespace path \"x\" is not absolute", "/linux/namespaces/1"),
        (at, with(json!({"type": "user"})), "user namespaces are not supported yet", "/linux/namespaces/1"),
        (at, with(json!({"type": "time"})), "time namespaces are not supported yet", "/linux/namespaces/1"),
        (at, json!([{"type": "mount", "path": "/x"}]), "joining an existing mount namespace", "/linux/namespaces/0"),
        (at, json!([]), "a container needs a mount namespace of its own", "/linux/namespaces"),
    ]);
}

#[test]
fn what_needs_a_namespace_is_refused_without_it() {
    let only_mount = ("/linux/namespaces", json!([{"type": "mount"}]));
    for (at, value, words) in [
        ("/hostname", json!("h"), "unable to set hostname without a private UTS namespace (/hostname)"),
        ("/domainname", json!("d"), "unable to set domainname without a private UTS namespace (/domainname)"),
        ("/linux/sysctl", json!({"net.a": "1"}), "sysctl \"net.a\" is not in a separate kernel namespace"),
        ("/linux/sysctl", json!({"kernel.sem": "1"}), "sysctl \"kernel.sem\" is not in a separate kernel namespace"),
    ] {
        assert!(refusal(&[only_mount.clone(), (at, value.clone())]).to_string().contains(words), "{words}");
        plan(&[(at, value)]);
    }
    for field in ["/linux/maskedPaths", "/linux/readonlyPaths"] {
        let text = refusal(&[("/linux/namespaces", json!([])), (field, json!(["/proc/kcore"]))]).to_string();
        assert!(text.contains("unable to restrict sys entries without a private MNT namespace"), "{text}");
    }
}

#[test]
fn a_joined_namespace_is_as_private_as_a_new_one() {
    let joined = json!([{"type": "mount"}, {"type": "uts", "path": "/proc/1/ns/uts"}]);
    plan(&[("/linux/namespaces", joined), ("/hostname", json!("h"))]);
}

#[test]
fn hooks_are_checked_before_anything_runs() {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        let hook = |hook: Value| json!({kind: [{"path": "/h"}, hook]});
        let at = format!("/hooks/{kind}/1");
        refused(&[
            ("/hooks", hook(json!({"path": "h"})), "path \"h\" is not absolute", &format!("{at}/path")),
            (
                "/hooks",
                hook(json!({"path": "/h", "timeout": 0})),
                "timeout 0 must be greater than zero",
                &format!("{at}/timeout"),
            ),
            ("/hooks", hook(json!({"path": "/h", "timeout": -1})), "timeout -1 must be", &format!("{at}/timeout")),
            ("/hooks", hook(json!({"path": "/h", "timeout": i64::MAX})), "is longer than", &format!("{at}/timeout")),
        ]);
    }
}

#[test]
fn the_process_is_checked() {
    let rlimit = |kind: &str| json!({"type": kind, "soft": 1, "hard": 2});
    refused(&[
        ("/process/cwd", json!("tmp"), "Cwd must be an absolute path", "/process/cwd"),
        ("/process/cwd", json!(""), "Cwd property must not be empty", "/process/cwd"),
        ("/process/args", json!([]), "args must not be empty", "/process/args"),
        ("/process/args", json!([""]), "executable file not found in $PATH", "/process/args/0"),
        ("/process/env", json!(["A=1", "B"]), "invalid environment variable \"B\"", "/process/env/1"),
        ("/process/env", json!(["=1"]), "invalid environment variable \"=1\"", "/process/env/0"),
        ("/process/user/uid", json!(u32::MAX), "uid 4294967295 is not valid", "/process/user/uid"),
        ("/process/user/gid", json!(u32::MAX), "gid 4294967295 is not valid", "/process/user/gid"),
        (
            "/process/user/additionalGids",
            json!([u32::MAX]),
            "gid 4294967295 is not valid",
            "/process/user/additionalGids",
        ),
        ("/process/user/umask", json!(0o1000), "umask 0o1000 is not within 0o777", "/process/user/umask"),
        ("/process/oomScoreAdj", json!(1001), "oomScoreAdj 1001 is not within", "/process/oomScoreAdj"),
        ("/process/rlimits", json!([rlimit("RLIMIT_FOO")]), "wrong rlimit value: RLIMIT_FOO", "/process/rlimits/0"),
        (
            "/process/rlimits",
            json!([rlimit("RLIMIT_NOFILE"), rlimit("RLIMIT_CPU"), rlimit("RLIMIT_NOFILE")]),
            "duplicate rlimit RLIMIT_NOFILE",
            "/process/rlimits/2",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
            "RLIMIT_CORE: soft limit 2 is above hard 1",
            "/process/rlimits/0",
        ),
        (
            "/process/selinuxLabel",
            json!("l"),
            "selinux label is specified in config, but selinux is disabled or not supported",
            "/process/selinuxLabel",
        ),
        ("/process/apparmorProfile", json!("p"), "apparmor is disabled or not supported", "/process/apparmorProfile"),
    ]);
}

#[test]
fn a_seccomp_profile_that_cannot_work_is_refused() {
    let notify =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
    refused(&[
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ERRNO"}), "denies execve", "/linux/seccomp"),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}),
            "seccomp: ",
            "/linux/seccomp",
        ),
        ("/linux/seccomp", notify, "seccomp: ", "/linux/seccomp"),
    ]);
}

#[test]
fn limits_that_this_host_cannot_set_are_found_before_anything_is_done() {
    refused(&[
        ("/linux/resources", json!({"network": {"classID": 1}}), "net_cls", "/linux/resources/network/classID"),
        ("/linux/resources", json!({"unified": {"misc.max": "1"}}), "misc", "/linux/resources/unified"),
        (
            "/linux/resources",
            json!({"unified": {"../x": "1"}}),
            "is not the name of a file",
            "/linux/resources/unified",
        ),
        (
            "/linux/resources",
            json!({"cpu": {"realtimeRuntime": 5}}),
            "realtime",
            "/linux/resources/cpu/realtimeRuntime",
        ),
        ("/linux/resources", json!({"devices": [{"allow": true, "type": "z"}]}), "type", "/linux/resources/devices"),
        (
            "/linux/resources",
            json!({"devices": [{"allow": true, "access": "q"}]}),
            "access",
            "/linux/resources/devices",
        ),
    ]);
    // A controller that is missing is the host's lack, not a mistake.
    assert_eq!(refusal(&[("/linux/resources", json!({"network": {"classID": 1}}))]).kind, Kind::Unsupported);
    assert_eq!(refusal(&[("/linux/resources", json!({"unified": {"../x": "1"}}))]).kind, Kind::InvalidConfig);
}

#[test]
fn device_nodes_are_checked() {
    let device = |path: &str, kind: &str, major: i64| json!({"path": path, "type": kind, "major": major, "minor": 1});
    let at = "/linux/devices";
    refused(&[
        (at, json!([device("dev/x", "c", 1)]), "device path \"dev/x\" is not absolute", "/linux/devices/0/path"),
        (at, json!([device("/dev/", "c", 1)]), "device path \"/dev/\" is a directory", "/linux/devices/0/path"),
        (at, json!([device("/dev/x", "z", 1)]), "type \"z\" is none of c, b, u, p", "/linux/devices/0/type"),
        (at, json!([device("/dev/x", "c", 4096)]), "number 4096:1 is out of range", "/linux/devices/0"),
        (at, json!([device("/dev/x", "b", -1)]), "number -1:1 is out of range", "/linux/devices/0"),
        (
            at,
            json!([device("/dev/x", "c", 1), device("/dev//x", "b", 1)]),
            "device \"/dev/x\" is listed twice, as different devices",
            "/linux/devices/1/path",
        ),
    ]);
}

#[test]
fn too_many_of_anything_is_refused_with_the_number_and_the_limit() {
    let many = |value: Value, n: usize| Value::Array(vec![value; n]);
    let mount = json!({"destination": "/x", "type": "tmpfs"});
    let device = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 1});
    for (at, value, words) in [
        ("/mounts", many(mount.clone(), 10_000), "there are 10000 mounts; at most 4096 are possible (/mounts)"),
        (
            "/linux/devices",
            many(device.clone(), 1025),
            "there are 1025 devices; at most 1024 are possible (/linux/devices)",
        ),
        ("/process/env", many(json!("A=1"), 8193), "there are 8193 environment variables; at most 8192"),
        ("/process/user/additionalGids", many(json!(1), 65_537), "there are 65537 supplementary groups; at most 65536"),
        ("/linux/maskedPaths", many(json!("/x"), 4097), "there are 4097 masked paths; at most 4096"),
        (
            "/linux/resources",
            json!({"devices": many(json!({"allow": true}), 4097)}),
            "there are 4097 device rules; at most 4096",
        ),
    ] {
        assert_eq!(
            refusal(&[(at, value)]).to_string().split(" are possible").next(),
            words.split(" are possible").next()
        );
    }
    let hooks = json!({"prestart": many(json!({"path": "/h"}), 40), "poststop": many(json!({"path": "/h"}), 25)});
    assert!(refusal(&[("/hooks", hooks)]).to_string().contains("there are 65 hooks; at most 64"));
    // The limits themselves are possible.
    plan(&[("/mounts", many(mount, limits::MOUNTS)), ("/linux/devices", many(device, limits::DEVICES))]);
    let process = Process { env: vec!["A=1".into(); 9000], ..Process::default() };
    let request = ExecRequest {
        id: "c1".into(),
        process,
        extra_env: vec![],
        cgroup_tasks: vec![],
        confinement: Default::default(),
    };
    assert!(exec(&config(&[]), &request, &facts()).unwrap_err().to_string().contains("9000 environment variables"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_but_an_error_stays_a_line_of_a_length_to_read() {
    let text =
        refusal(&[("/hostname", json!("x".repeat(65))), ("/process/cwd", json!("x")), ("/ociVersion", json!("2.0.0"))]);
    let text = text.to_string();
    assert!(["hostname has 65", "Cwd must", "2.0.0"].iter().all(|words| text.contains(words)), "{text}");
    let text = refusal(&[("/linux/maskedPaths", Value::Array(vec![json!("x"); 1000]))]).to_string();
    assert!(text.ends_with("; and 968 more") && text.len() < 4096, "{text}");
}

#[test]
fn a_terminal_that_nobody_takes_is_refused() {
    let spec = config(&[("/process/terminal", json!(true))]);
    let nobody = CreateRequest { takes_terminal: false, ..request() };
    let text = create(&spec, &nobody, &facts()).unwrap_err().to_string();
    assert!(text.contains("cannot allocate tty"), "{text}");
    assert!(create(&spec, &request(), &facts()).unwrap().terminal);
    let no_pivot = CreateRequest { no_pivot: true, ..request() };
    assert!(create(&config(&[]), &no_pivot, &facts()).unwrap_err().to_string().contains("--no-pivot"));
}
