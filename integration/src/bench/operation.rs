//! The operations that are measured, and how each of them is done once.

use super::contender::{Contender, Sample};
use super::orphans::Orphans;
use super::row::{Heat, Row};
use super::setup::Setup;
use crate::host;
use anyhow::Result;
use std::time::Duration;

const IDLE: Duration = Duration::from_millis(30);

/// What is done in one go. The flag says whether it is done with the profile.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Run(bool),
    /// `create`, `start`, and when the program has ended `delete`.
    Whole(bool),
    /// All that needs a running container.
    Running(bool),
    /// Many containers at a time.
    Parallel,
}

impl Operation {
    /// What every round does.
    pub const EACH: [Self; 6] = [
        Self::Run(false),
        Self::Run(true),
        Self::Whole(false),
        Self::Whole(true),
        Self::Running(false),
        Self::Running(true),
    ];
}

/// One contender and what it works with.
pub struct Lane<'a> {
    pub contender: &'a Contender,
    pub setup: &'a Setup,
    pub orphans: &'a Orphans,
}

impl Lane<'_> {
    /// Does an operation once. What the floor cannot do gives nothing.
    pub fn take(&self, operation: Operation, heat: Heat) -> Result<Vec<(Row, Sample)>> {
        let floor = self.contender.floor.as_ref();
        match operation {
            Operation::Run(true) if floor.is_some_and(|floor| !floor.has_filter()) => Ok(Vec::new()),
            Operation::Run(filtered) => {
                let row = if filtered { Row::RunFiltered } else { Row::Run };
                let bundle = self.setup.ending(filtered);
                Ok(vec![(row, self.one(heat, || self.contender.run(bundle, "run"))?)])
            }
            Operation::Parallel => {
                let sample = self.one(heat, || self.contender.run_together(&self.setup.parallel))?;
                Ok(vec![(Row::Parallel, sample)])
            }
            _ if floor.is_some() => Ok(Vec::new()),
            Operation::Whole(filtered) => self.whole(filtered, heat),
            Operation::Running(filtered) => self.running(filtered, heat),
        }
    }

    /// Cold: after a pause. Hot: after one that is not counted.
    fn one<T>(&self, heat: Heat, act: impl Fn() -> Result<T>) -> Result<T> {
        match heat {
            Heat::Cold => std::thread::sleep(IDLE),
            Heat::Hot => drop(act()?),
        }
        act()
    }

    fn whole(&self, filtered: bool, heat: Heat) -> Result<Vec<(Row, Sample)>> {
        let bundle = self.setup.ending(filtered);
        let (dir, pid_file) = (bundle.dir.to_string_lossy(), bundle.dir.join("pid"));
        self.one(heat, || {
            self.orphans.forget();
            let create = self.contender.call(&[
                "create",
                "--bundle",
                &dir,
                "--pid-file",
                &pid_file.to_string_lossy(),
                "whole",
            ])?;
            let start = self.contender.call(&["start", "whole"])?;
            let rest = self.orphans.until_ended(host::read(&pid_file)?.parse()?)?;
            let delete = self.contender.call(&["delete", "whole"])?;
            let mut whole = Sample::sum(&[&create, &start, &delete]);
            // The container's init and its program, which nobody but this program has waited for.
            whole.usage += rest;
            Ok(if filtered {
                vec![(Row::WholeFiltered, whole)]
            } else {
                vec![(Row::Create, create), (Row::Start, start), (Row::Delete, delete), (Row::Whole, whole)]
            })
        })
    }

    fn running(&self, filtered: bool, heat: Heat) -> Result<Vec<(Row, Sample)>> {
        let dir = self.setup.sleeping(filtered).dir.to_string_lossy();
        self.contender.call(&["create", "--bundle", &dir, "sleeping"])?;
        let looked = self.contender.call(&["start", "sleeping"]).and_then(|_| self.with_running(filtered, heat));
        if heat == Heat::Cold {
            std::thread::sleep(IDLE);
        }
        let delete = self.contender.call(&["delete", "--force", "sleeping"])?;
        let mut samples = looked?;
        if !filtered {
            samples.push((Row::DeleteRunning, delete));
        }
        Ok(samples)
    }

    fn with_running(&self, filtered: bool, heat: Heat) -> Result<Vec<(Row, Sample)>> {
        let call = |args: &[&str]| self.one(heat, || self.contender.call(args));
        let exec = call(&["exec", "sleeping", "/bin/true"])?;
        if filtered {
            return Ok(vec![(Row::ExecFiltered, exec)]);
        }
        let (state, kill) = (call(&["state", "sleeping"])?, call(&["kill", "sleeping", "WINCH"])?);
        Ok(vec![(Row::Exec, exec), (Row::State, state), (Row::Kill, kill)])
    }
}
