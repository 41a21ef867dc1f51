use super::super::tests::kernel;
use super::*;
use crate::spec::Status;

fn report() -> Report {
    Report {
        id: "web".into(),
        status: Status::Running,
        enforcement: None,
        not_enforced: Vec::new(),
        lacks: Vec::new(),
        differences: Default::default(),
        kernel: Some(kernel()),
        grades: Vec::new(),
    }
}

#[test]
fn nothing_that_a_container_chose_acts_on_the_terminal() {
    let mut report = report();
    let mounts = &mut report.kernel.as_mut().unwrap().mounts;
    mounts.push(super::super::tests::mount("/\\033[31m", "/", "0:51", false));
    let text = page(&report, Colour::Off);
    assert!(text.contains("/?[31m") && !text.contains('\x1b'), "{text}");
}

#[test]
fn colour_is_for_terminals_only() {
    let mut report = report();
    report.differences.mismatches.push("no_new_privs is planned, and off".into());
    assert!(page(&report, Colour::On).starts_with("\x1b[31mMISMATCH"));
    assert!(page(&report, Colour::Off).starts_with("MISMATCH         no_new_privs"));
}

#[test]
fn a_container_is_one_line_and_its_mismatches_stand_below() {
    let mut first = report();
    first.differences.mismatches.push("x".into());
    let failed = Line::Failed { id: "broken".into(), error: "state.json has\nno end".into() };
    let text = table(&[Line::Report(Box::new(first)), failed], Colour::Off);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "web     7    running  -      -             -               1");
    assert_eq!(
        lines[2..],
        ["  x", "broken  -    error    -      -             -               -", "  state.json has?no end"]
    );
}
