//! From the word PROFILE to layers.

use super::Host;
use super::options::Options;
use crate::compile::{Decisions, Filter, Layer, compile};
use crate::families;
use crate::overlay::Overlay;
use crate::profile::Profile;

/// What PROFILE stands for.
pub(super) struct Source {
    /// The overlay first, the others in their order.
    pub(super) parts: Vec<Part>,
}

pub(super) struct Part {
    pub(super) name: String,
    pub(super) layer: Layer,
    /// Set for a family.
    pub(super) family: Option<families::Family>,
}

impl Source {
    pub(super) fn open(text: &str, options: &Options<'_>, host: &dyn Host) -> Result<Source, String> {
        // A file may have a + in its name.
        if text.contains('+') && host.read(text).is_err() {
            let parts = text.split('+').map(|one| part(one, options, host)).collect::<Result<Vec<_>, _>>()?;
            // Of equal answers the last layer's counts, and a profile's errno says more than the overlay's.
            let (profiles, mut parts): (Vec<Part>, Vec<Part>) =
                parts.into_iter().partition(|part| matches!(part.layer, Layer::Profile(_)));
            parts.extend(profiles);
            return Ok(Source { parts });
        }
        Ok(Source { parts: vec![part(text, options, host)?] })
    }

    pub(super) fn layers(&self) -> Vec<Layer> {
        self.parts.iter().map(|part| part.layer.clone()).collect()
    }

    pub(super) fn decisions(&self, options: &Options<'_>) -> Result<Decisions, String> {
        Decisions::of(&self.layers(), options.native).map_err(|why| why.to_string())
    }

    pub(super) fn filter(&self, options: &Options<'_>) -> Result<Filter, String> {
        match self.parts.as_slice() {
            [Part { layer: Layer::Profile(profile), .. }] => compile(profile, options.native),
            _ => Decisions::of(&self.layers(), options.native).and_then(|decisions| decisions.filter()),
        }
        .map_err(|why| why.to_string())
    }

    /// What its families accept of lint's findings.
    pub(super) fn accepted(&self) -> Vec<(String, String)> {
        self.parts.iter().filter_map(|part| part.family.as_ref()).flat_map(|family| family.accepted.clone()).collect()
    }
}

fn part(text: &str, options: &Options<'_>, host: &dyn Host) -> Result<Part, String> {
    let name = text.to_owned();
    if text == "overlay" {
        let overlay = Overlay::load(&options.caps, &options.allow).map_err(|why| why.to_string())?;
        return Ok(Part { name, layer: Layer::Overlay(overlay), family: None });
    }
    if families::names().contains(&text) {
        let profile = families::load(text, &options.caps, options.native).map_err(|why| why.to_string())?;
        let family = families::describe(text).map_err(|why| why.to_string())?;
        return Ok(Part { name, layer: Layer::Profile(profile), family: Some(family) });
    }
    Ok(Part { name, layer: Layer::Profile(read(text, host)?), family: None })
}

fn read(path: &str, host: &dyn Host) -> Result<Profile, String> {
    let text = host.read(path).map_err(|why| {
        let known = families::names().join(", ");
        format!("read \"{path}\": {why}; families are {known} and overlay")
    })?;
    match (Profile::from_config_json(&text), Profile::from_json(&text)) {
        (Ok(Some(profile)), _) | (_, Ok(profile)) => Ok(profile),
        // With a "linux" that is none of a config.json's: that is what is wrong.
        (Err(why), Err(_)) | (Ok(None), Err(why)) => Err(format!("\"{path}\": {why}")),
    }
}
