use super::super::refusals::REFUSALS;
use super::*;
use crate::policy::Effect;

fn held() -> Seen {
    Seen::Held("held".to_owned())
}

fn open() -> Seen {
    Seen::Open("open".to_owned())
}

fn absent() -> Seen {
    Seen::Absent("absent".to_owned())
}

#[test]
fn a_pass_takes_a_control_in_which_the_attempt_succeeds() {
    let status = |tested, control| judge(tested, control).0;
    assert_eq!(status(held(), open()), Status::Pass);
    assert_eq!(status(held(), held()), Status::NotProven);
    assert_eq!(status(held(), absent()), Status::Unavailable);
    assert_eq!(status(absent(), open()), Status::Unavailable);
    for control in [held(), open(), absent()] {
        assert_eq!(status(open(), control), Status::Fail);
    }
}

#[test]
fn an_answer_is_a_refusal_a_success_or_a_lack_of_the_kernel() {
    let answers = [("refused", 1), ("reached", 22), ("done", 0), ("killed", -31), ("missing", 38)];
    let mut view = View::default();
    view.answers = answers.map(|(name, code)| (name.to_owned(), code)).into();
    let seen = |name, is_control| answer(&view, name, is_control).unwrap();
    assert_eq!(seen("refused", false), Seen::Held("operation not permitted".to_owned()));
    assert!(matches!(seen("reached", false), Seen::Open(_)));
    assert!(matches!(seen("done", true), Seen::Open(_)));
    assert_eq!(seen("killed", false), Seen::Held("killed by signal 31".to_owned()));
    assert!(matches!(seen("missing", false), Seen::Held(_)));
    assert!(matches!(seen("missing", true), Seen::Absent(_)));
    assert!(matches!(seen("never asked", false), Seen::Absent(_)));
}

#[test]
fn every_rule_that_a_level_switches_on_is_checked() {
    // Only a policy says which processes may be added.
    let elsewhere = [Rule::ExecMode];
    for rule in Rule::ALL.iter().filter(|rule| rule.from().is_some() && !elsewhere.contains(rule)) {
        let seen = CHECKS.iter().any(|check| check.rule == Some(*rule));
        let refused = *rule == Rule::ExecBeyondInit || REFUSALS.iter().any(|refusal| refusal.rule == *rule);
        assert!(if rule.effect() == Effect::Narrow { seen } else { refused }, "{rule}");
    }
}

#[test]
fn no_check_comes_before_its_rule() {
    let checks = CHECKS.iter().filter_map(|check| Some((check.rule?, check.from)));
    for (rule, from) in checks.chain(REFUSALS.iter().map(|refusal| (refusal.rule, refusal.from))) {
        assert!(rule.from().is_some_and(|enforced| enforced <= from), "{rule}");
    }
}

#[test]
fn mount_tables_are_read_field_by_field() {
    let table =
        "40 36 0:30 / /proc/sys ro,nosuid master:1 - proc proc rw\n41 36 0:31 / /tmp rw,nodev - tmpfs x rw\nbad\n";
    let lines = mount_lines(table);
    let read: Vec<_> = lines.iter().map(|line| (line.target, line.has("ro"), line.kind)).collect();
    assert_eq!(read, [("/proc/sys", true, "proc"), ("/tmp", false, "tmpfs")]);
}
