//! Rules on processes that are added to a running container.

use super::{Page, Severity, Standard::*};

pub(super) static EXEC_BEYOND_INIT: Page = Page {
    title: "no exec beyond what init was asked for",
    severity: Severity::High,
    does: "refuses an exec with capabilities, a label or a profile that the container's own configuration does not have",
    attack: "`exec --privileged` and `exec --cap` make a root with all capabilities inside a container whose \
             programs are not trusted; they can use what it leaves (CVE-2022-29162, CVE-2025-27612)",
    breaks: "`docker exec --privileged`, debugging with capabilities in a running container",
    fix: "exec without `--privileged` and `--cap`",
    allow: "",
    standards: &[(CisDocker, "5.23"), (Nist, "4.4.3")],
};

pub(super) static EXEC_FLOOR: Page = Page {
    title: "exec is confined as init is",
    severity: Severity::High,
    does: "gives an exec that asks for less protection what init has: bounding set, no_new_privs, seccomp, label, \
           Landlock, cgroup",
    attack: "a probe or a shell that runs without the container's filter or label is the way around them for who can \
             make it run something",
    breaks: "tools in a container that count on exec being less confined than the container",
    fix: "nothing to change in the configuration",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static EXEC_MODE: Page = Page {
    title: "exec as the policy says",
    severity: Severity::Medium,
    does: "where a policy says `probes` or `deny`, refuses every exec that is not one of the listed probes, or every one",
    attack: "a shell in a running container by who holds a token of the cluster or a key of the engine, and what is \
             typed there is in no image",
    breaks: "`kubectl exec`, `docker exec` in those containers",
    fix: "nothing to change in the configuration",
    allow: "list the argument vectors of probes in the policy",
    standards: &[(Nist, "4.4.3")],
};
