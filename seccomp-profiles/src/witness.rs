//! Arguments worth asking about: on, just below and just above each value that conditions speak of, each bit of a mask
//! turned, and something in the upper half.

use crate::compile::clause::Cond;
use crate::profile::Operator;
use crate::syscalls::Width;

/// More combinations than these are not asked: the values nearest to the conditions come first.
const MOST: usize = 1 << 20;

/// Combinations of arguments; those that no condition looks at are 0.
pub(crate) fn arguments<'a>(conds: impl Iterator<Item = &'a Cond> + Clone, width: Width) -> Vec<[u64; 6]> {
    let mut of_args: Vec<(usize, Vec<u64>)> = Vec::new();
    for index in 0..6_u8 {
        let of_arg: Vec<&Cond> = conds.clone().filter(|cond| cond.index == index).collect();
        if !of_arg.is_empty() {
            of_args.push((usize::from(index), values(&of_arg, width)));
        }
    }
    let mut longest = of_args.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    while of_args.iter().map(|(_, values)| values.len()).fold(1_usize, usize::saturating_mul) > MOST {
        longest -= 1;
        of_args.iter_mut().for_each(|(_, values)| values.truncate(longest));
    }
    // Small ones first: they make the better examples.
    of_args.iter_mut().for_each(|(_, values)| values.sort_unstable());
    let mut all = vec![[0; 6]];
    for (index, values) in of_args {
        let with = |args: &[u64; 6], value: u64| {
            let mut args = *args;
            if let Some(arg) = args.get_mut(index) {
                *arg = value;
            }
            args
        };
        all = all.iter().flat_map(|args| values.iter().map(move |value| with(args, *value))).collect();
    }
    all
}

fn values(conds: &[&Cond], width: Width) -> Vec<u64> {
    let mut near = vec![0];
    for cond in conds {
        near.push(cond.value);
        if cond.op == Operator::MaskedEqual {
            near.push(cond.value | !cond.mask);
        }
    }
    let mut values = near.clone();
    for cond in conds {
        values.extend([cond.value.wrapping_add(1), cond.value.wrapping_sub(1)]);
        if cond.op == Operator::MaskedEqual {
            let bits = (0..64).map(|bit| 1 << bit).filter(|bit| cond.mask & bit != 0);
            values.extend(bits.map(|bit: u64| cond.value ^ bit));
            // Other values below this mask: where two masks meet.
            values.extend(near.iter().map(|other| (other & !cond.mask) | cond.value));
        }
    }
    values.extend(near.iter().map(|value| value | 1 << 32));
    values.extend([0xffff_ffff, u64::MAX]);
    if width == Width::Low32 {
        values.iter_mut().for_each(|value| *value &= 0xffff_ffff);
    }
    let mut unique = Vec::with_capacity(values.len());
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    unique
}
