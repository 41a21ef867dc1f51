use super::*;

fn local(year: i32, month: u8, day: u8, hour: u8, minute: u8) -> LocalTime {
    LocalTime { year, month, day, hour, minute }
}

#[test]
fn start_is_shown_as_time_date_or_year() {
    let now = local(2026, 3, 1, 0, 1);
    assert_eq!(start_text(now, local(2026, 3, 1, 0, 0)), "00:00");
    assert_eq!(start_text(now, local(2026, 2, 28, 23, 59)), "Feb28");
    assert_eq!(start_text(now, local(2025, 12, 31, 23, 59)), "2025");
}

#[test]
fn terminals_and_durations_have_the_usual_names() {
    for (device, name) in
        [(0, "?"), (34816, "pts/0"), (34817, "pts/1"), (1025, "tty1"), (1088, "ttyS0"), (1281, "console")]
    {
        assert_eq!(terminal(device), name);
    }
    assert_eq!(duration(3_661), "01:01:01");
    assert_eq!(duration(90_000), "1-01:00:00");
}

#[test]
fn command_line_cannot_act_on_the_terminal() {
    let stat = Stat { command: "a\x1bb".into(), state: 'S', ppid: 1, tty: 0, utime: 0, stime: 0, start_time: 0 };
    assert_eq!(command("sh\0-c\0a\x1b[2J\nb\0", &stat), "sh -c a?[2J?b");
    assert_eq!(command("", &stat), "[a?b]");
    assert_eq!(shortened("systemd-network"), "systemd+");
    assert_eq!(effective_uid("Name:\tx\nUid:\t1\t2\t3\t4\n"), Some(2));
}

#[test]
fn process_that_is_gone_is_left_out() {
    assert_eq!(table(&[i32::MAX]).unwrap().lines().count(), 1);
}
