//! Room for a plan's handles: a config may name more files than RLIMIT_NOFILE lets a process have open.

use crate::error::{Call, Error, Kind, Result};
use crate::plan::Plan;
use crate::program::Op;
use crate::sys::descriptors::{Limit, limit, set_limit};

/// What casemate and init have open besides the handles, generously.
const OWN: u64 = 64;

/// RLIMIT_NOFILE of getrlimit(2).
const NOFILE: u32 = 7;

/// Makes room for the handles of a plan and for those that init keeps of its mounts, by raising the soft limit to the hard
/// one where it is too low; answers what it was, for [`restore`], if it was raised.
///
/// # Errors
/// A hard limit that is too low.
pub fn make_room(plan: &Plan) -> Result<Option<Limit>> {
    let mounts = plan.program.iter().filter(|op| matches!(op, Op::Mount { .. })).count();
    let needed = (plan.handles.len() + mounts) as u64 + OWN;
    let before = limit().call("prlimit64", "RLIMIT_NOFILE")?;
    if before.soft >= needed {
        return Ok(None);
    }
    if before.hard < needed {
        let what =
            format!("the configuration takes {needed} open files, which is above the hard limit of RLIMIT_NOFILE");
        return Err(Error::new(Kind::System, what).hint("raise the limit of whoever starts casemate (LimitNOFILE=)"));
    }
    set_limit(Limit { soft: before.hard, ..before }).call("prlimit64", "RLIMIT_NOFILE")?;
    Ok(Some(before))
}

/// What `program` runs gets the limit that it would have had: set where nothing of the parent's is open any more, unless
/// the config sets the limit itself.
pub fn restore(before: Limit, program: &mut Vec<Op>) {
    let is_set = program.iter().any(|op| matches!(op, Op::Rlimit { resource: NOFILE, .. }));
    let place = program.iter().position(|op| *op == Op::CloseHandles);
    if let Some(place) = place.filter(|_| !is_set) {
        let Limit { soft, hard } = before;
        program.insert(place + 1, Op::Rlimit { name: "RLIMIT_NOFILE".into(), resource: NOFILE, soft, hard });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Limit = Limit { soft: 64, hard: 4096 };

    #[test]
    fn the_process_gets_the_limit_that_it_would_have_had() {
        let mut program = vec![Op::Pivot, Op::CloseHandles, Op::Ready];
        restore(BEFORE, &mut program);
        let limit = Op::Rlimit { name: "RLIMIT_NOFILE".into(), resource: NOFILE, soft: 64, hard: 4096 };
        assert_eq!(program, [Op::Pivot, Op::CloseHandles, limit, Op::Ready]);
    }

    #[test]
    fn a_limit_of_the_config_stays() {
        let limit = Op::Rlimit { name: "RLIMIT_NOFILE".into(), resource: NOFILE, soft: 5, hard: 6 };
        let mut program = vec![Op::CloseHandles, limit, Op::Ready];
        let before = program.clone();
        restore(BEFORE, &mut program);
        assert_eq!(program, before);
    }
}
