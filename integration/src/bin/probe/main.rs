//! The probe: a static program that a container runs, which prints one JSON object of what it sees of itself.
//!
//! Without arguments it only looks ([`look`]); `probe hold` does so and stays; `probe tell FILE` writes what it was started
//! with to a file, as a hook. `probe watch` looks at others ([`watch`]), `probe keep` at what they execute ([`keep`]).
//! `probe try NAME [ARGUMENT...]` attempts one thing and prints `ok` or the error ([`attempt`]); `probe calls [GROUP...]`
//! makes many system calls and prints what was said to each ([`calls`]); `probe become` attempts to be another
//! ([`attributes`]), `probe bomb` makes processes without end, `probe spy` looks at the host as another user ([`spy`]).
//! `probe weigh` serves the benchmark, `probe session` and `probe keyring` the suite on the host ([`run`]).

mod attempt;
mod attributes;
mod call_table;
mod calls;
mod handle;
mod keep;
mod look;
mod raw;
mod run;
mod spy;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["try", what @ ..] => return attempt::attempt(what),
        ["calls", groups @ ..] => return calls::calls(groups),
        ["weigh", file, program, arguments @ ..] => return run::weigh(file, program, arguments),
        ["session", program, arguments @ ..] => return run::in_a_new_session_keyring(program, arguments),
        ["key", name] => return run::add_key(name),
        ["unlink-key", name] => return run::unlink_key(name),
        ["become"] => println!("{}", attributes::become_another()),
        ["spy", user, stop] => println!("{}", spy::spy(user.parse().unwrap_or(65_534), std::path::Path::new(stop))),
        ["bomb"] if attempt::beside_the_sentinel() => spy::bomb(),
        ["handle", path] => return handle::show(path),
        ["open-handle", text, place] => return handle::open(text, place),
        ["keyring"] => println!("{}", look::session_keyring()),
        ["watch", marker, stop] => println!("{}", watch::watch(marker, std::path::Path::new(stop))),
        ["keep", stop] => return keep::keep(std::path::Path::new(stop)),
        ["tell", file] => {
            if let Err(error) = std::fs::write(file, look::heritage().to_string()) {
                eprintln!("probe: write {file}: {error}");
                return ExitCode::FAILURE;
            }
        }
        ["hold", ..] => {
            println!("{}", look::look(&words));
            loop {
                std::thread::park();
            }
        }
        _ => println!("{}", look::look(&words)),
    }
    ExitCode::SUCCESS
}
