//! Who the program is: identity and credentials.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::holds;
use crate::host;
use anyhow::Result;

crate::checks! {
    "A6" supplementary_groups_are_those_of_the_configuration;
}

fn supplementary_groups_are_those_of_the_configuration(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/user/additionalGids", serde_json::json!([3001, 3002]));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let groups = host::status(seen.pid, "Groups")?;
        let mut list: Vec<&str> = groups.split_whitespace().collect();
        list.sort_unstable();
        // Groups as listed; an engine may list the primary group too, a runtime must not add others.
        list.retain(|group| *group != "0" && *group != "1000");
        holds!(list == ["3001", "3002"], "{way}: groups {groups}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}
