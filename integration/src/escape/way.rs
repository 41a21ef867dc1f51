//! The ways a program gets into a container, and a look at it on each.

use crate::bundle::Bundle;
use crate::case::Container;
use crate::escape::scene::Scene;
use crate::process::{DEADLINE, Output, Running, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;

/// One way into a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// `create`, then `start`.
    CreateStart,
    Run,
    Exec,
    /// `exec --cap CAP_NET_BIND_SERVICE`, which every level allows.
    ExecCap,
    /// `exec --tty` on a terminal of script(1)'s.
    ExecTty,
}

impl Way {
    pub const ALL: [Self; 5] = [Self::CreateStart, Self::Run, Self::Exec, Self::ExecCap, Self::ExecTty];
    /// Those that make the container's own program.
    pub const INIT: [Self; 2] = [Self::CreateStart, Self::Run];
    /// Those into a running container.
    pub const EXEC: [Self; 3] = [Self::Exec, Self::ExecCap, Self::ExecTty];
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CreateStart => "create+start",
            Self::Run => "run",
            Self::Exec => "exec",
            Self::ExecCap => "exec --cap",
            Self::ExecTty => "exec --tty",
        })
    }
}

/// The probe as it runs in a container, until the scene ends or [`Seen::end`].
#[derive(Debug)]
pub struct Seen<'a> {
    /// What it sees of itself, see the probe's `look`.
    pub inside: Value,
    /// Its pid here, for a look at /proc from outside.
    pub pid: i32,
    pub container: Container<'a>,
    way: Way,
    running: Running,
}

impl Seen<'_> {
    /// Deletes the container, or ends the probe alone that was executed in one, and waits for the command that was in the
    /// foreground.
    pub fn end(self) -> Result<()> {
        if Way::EXEC.contains(&self.way) {
            crate::host::kill(self.pid)?;
        } else {
            self.container.call("delete", &["--force"])?.success()?;
        }
        self.running.wait(DEADLINE)?;
        Ok(())
    }
}

/// What a terminal printed without the end of the input, which script(1) types at any moment and the terminal echoes.
fn without_echo(text: &str) -> String {
    text.replace(['\0'], "").replace("^@", "").replace("^D\u{8}\u{8}", "")
}

impl<'a> Scene<'a> {
    /// Brings the probe into a container of this bundle (whose program is replaced) on one way; `flags` are further flags
    /// of the command that does it. The probe stays until it is killed.
    pub fn look<'s>(&'s self, way: Way, bundle: &Bundle, flags: &[&str]) -> Result<Seen<'s>> {
        let ground = &self.ground;
        let mut bundle = bundle.clone();
        let pid_file = ground.dir.join(format!("{}.pid", ground.id()));
        let pid_flag = ["--pid-file".to_owned(), pid_file.to_string_lossy().into_owned()];
        let mut words: Vec<&str> = pid_flag.iter().map(String::as_str).collect();
        words.extend(flags);
        let hold = ["/bin/probe", "hold"];
        if Way::INIT.contains(&way) {
            self.leave()?;
        }
        let (container, running) = match way {
            Way::CreateStart => {
                let container = ground.container(bundle.args(&hold));
                let running = ground.recorder.start(container.create_command(&words)?, None)?;
                // Its output goes on to the program, so it is not waited for with `wait`, which reads it once.
                let created = || container.status().is_ok_and(|status| status == "created");
                eventually("it is created", || {
                    let ended = !crate::host::is_alive(i32::try_from(running.child.id())?);
                    let done = created();
                    ensure!(done || !ended, "create ended: {}", running.stderr()?);
                    Ok(done.then_some(()))
                })?;
                container.start()?.success()?;
                (container, running)
            }
            Way::Run => {
                let container = ground.container(bundle.args(&hold));
                let running = container.run_in_background(&words)?;
                (container, running)
            }
            Way::Exec | Way::ExecCap => {
                let container = self.visited(&bundle)?;
                let mut line = vec!["exec"];
                line.extend(&words);
                if way == Way::ExecCap {
                    line.extend(["--cap", "CAP_NET_BIND_SERVICE"]);
                }
                line.push(&container.id);
                line.extend(hold);
                let running = ground.recorder.start(ground.command(&line), None)?;
                (container, running)
            }
            Way::ExecTty => {
                let container = self.visited(&bundle)?;
                let mut line = vec!["exec", "--tty"];
                line.extend(&words);
                line.push(&container.id);
                line.extend(hold);
                let running = ground.recorder.start(self.on_a_terminal(&line), None)?;
                (container, running)
            }
        };
        let mut last = String::new();
        let inside = eventually("the probe's look", || {
            last = without_echo(&running.stdout()?);
            // A terminal may put something before it.
            let object = |line: &str| serde_json::from_str(line.trim().get(line.find('{')?..)?).ok();
            Ok(last.lines().find_map(object))
        });
        let inside = inside.with_context(|| format!("{way}: {last}{}", running.stderr().unwrap_or_default()))?;
        // The program may be faster than the runtime is at writing it down.
        let pid = || Ok(std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok()));
        let pid = eventually("the pid file", pid)?;
        Ok(Seen { inside, pid, container, way, running })
    }

    /// A program's output and exit code, run to its end in a container of this bundle on one way; a word of `program` may
    /// have no space in it on the way with a terminal. Of a create the code is 0 when it and the start went well.
    pub fn said(&self, way: Way, bundle: &Bundle, flags: &[&str], program: &[&str]) -> Result<Output> {
        self.leave()?;
        let ground = &self.ground;
        let mut bundle = bundle.clone();
        let container = match way {
            Way::Run | Way::CreateStart => ground.container(bundle.args(program)),
            Way::Exec | Way::ExecCap | Way::ExecTty => ground.sleeping(&bundle)?,
        };
        let output = match way {
            Way::Run => container.run(flags)?,
            Way::CreateStart => {
                // The program's output goes where that of the create went.
                let running = ground.recorder.start(container.create_command(flags)?, None)?;
                let ended = || -> Result<bool> { Ok(!crate::host::is_alive(i32::try_from(running.child.id())?)) };
                eventually("the create ends", || Ok(ended()?.then_some(())))?;
                if container.status().is_ok_and(|status| status == "created") {
                    container.start()?.success()?;
                    container.wait_until("stopped")?;
                }
                running.wait(DEADLINE)?
            }
            Way::Exec => container.exec(flags, program)?,
            Way::ExecCap => container.exec(&[flags, &["--cap", "CAP_NET_BIND_SERVICE"]].concat(), program)?,
            Way::ExecTty => {
                let line = [&["exec", "--tty"], flags, &[container.id.as_str()], program].concat();
                let mut output = ground.recorder.run(self.on_a_terminal(&line))?;
                output.stdout = without_echo(&output.stdout);
                output
            }
        };
        container.call("delete", &["--force"])?.success()?;
        Ok(output)
    }

    /// The runtime's command on a terminal of script(1)'s.
    pub fn on_a_terminal(&self, line: &[&str]) -> Command {
        let mut script = Command::new("script");
        let line = crate::process::typed(&self.ground.command(line));
        script.args(["-qec", &line, "/dev/null"]).current_dir(&self.ground.dir);
        script
    }
}
