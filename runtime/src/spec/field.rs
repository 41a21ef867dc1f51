//! How one field of a JSON object is read and written.
//!
//! Engines marshal the Go structs of runtime-spec, so what they write is what Go's `encoding/json`
//! writes: nil slices, maps and pointers come out as `null`, and zero values may be left out. A
//! derived `Deserialize` differs from that on `null`, takes a JSON array where an object is meant,
//! and keeps the last of two equal keys of a map. [`Field`] and the `object!` macro settle these
//! points once for every type of this room.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap};

/// A value that may be a field of a spec object.
pub trait Field: Sized {
    /// Reads the value; `null` gives the default where there is one, as it leaves the zero value in Go.
    ///
    /// # Errors
    /// Whatever the deserializer reports, and what this room refuses: a NUL in a string, a
    /// repeated key.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Whether a field tagged `omitempty` in Go is left out when it has this value.
    fn is_absent(&self) -> bool;
}

/// Gives any [`Field`] a `Deserialize`, for use inside the containers of serde.
pub struct Read<T>(pub T);

impl<'de, T: Field> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Read)
    }
}

macro_rules! scalar {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Option::<$type>::deserialize(deserializer)?.unwrap_or_default())
            }

            fn is_absent(&self) -> bool {
                *self == <$type>::default()
            }
        }
    )*};
}
scalar!(bool, u16, u32, u64, i32, i64);

impl Field for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        // Every string ends up in a path, an argv, an environment or a kernel file, where the
        // kernel would take the part before the NUL for the whole.
        if text.contains('\0') {
            return Err(Error::custom("string has a NUL byte"));
        }
        Ok(text)
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Field> Field for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Read<T>>::deserialize(deserializer)?.map(|value| value.0))
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Field> Field for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Option::<Vec<Read<T>>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(list.into_iter().map(|value| value.0).collect())
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Keyed<T>>::deserialize(deserializer)?.map(|map| map.0).unwrap_or_default())
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// A JSON object with free keys, each of which may occur once.
struct Keyed<T>(BTreeMap<String, T>);

impl<'de, T: Field> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeyedVisitor(PhantomData))
    }
}

struct KeyedVisitor<T>(PhantomData<T>);

impl<'de, T: Field> Visitor<'de> for KeyedVisitor<T> {
    type Value = Keyed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Keyed<T>, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(Read(key)) = access.next_key::<Read<String>>()? {
            let Read(value) = access.next_value::<Read<T>>()?;
            if map.contains_key(&key) {
                return Err(Error::custom(format_args!("duplicate key \"{key}\"")));
            }
            map.insert(key, value);
        }
        Ok(Keyed(map))
    }
}

/// Reads the key of a field as its place in the list of a type's keys; the length of the list is for all others.
pub struct Place(pub &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Place {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Place {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<usize, E> {
        if let Some(place) = self.0.iter().position(|known| *known == key) {
            return Ok(place);
        }
        match self.0.iter().find(|known| known.eq_ignore_ascii_case(key)) {
            Some(known) => Err(E::custom(format_args!("field \"{key}\" has to be spelled \"{known}\""))),
            None => Ok(self.0.len()),
        }
    }
}

/// Reads the value of a field: once for each type, not in each object for each of its fields.
///
/// # Errors
/// As [`Field::read`].
#[inline(never)]
pub fn value<'de, T: Field, A: MapAccess<'de>>(access: &mut A) -> Result<T, A::Error> {
    Ok(access.next_value::<Read<T>>()?.0)
}

/// Writes a field; as [`value`], once for each type.
///
/// # Errors
/// Those of the serializer.
#[inline(never)]
pub fn entry<T: Serialize, M: SerializeMap>(map: &mut M, key: &str, value: &T) -> Result<(), M::Error> {
    map.serialize_entry(key, value)
}

/// The error of a key that occurs again.
pub fn repeated<E: Error>(keys: &[&str], place: usize) -> E {
    E::custom(format_args!("duplicate key \"{}\"", keys.get(place).unwrap_or(&"")))
}

/// Declares a struct of the runtime-spec and how it is read and written.
///
/// Each field is written `pub name: Type = "jsonName";`, with `, always` behind the JSON name
/// where Go's tag has no `omitempty`. The struct gets `Deserialize`, `Serialize`, `Default` and
/// [`Field`].
///
/// Reading refuses what would make two readers of one file disagree:
/// * a repeated key, of which some parsers take the first and others the last;
/// * a key that differs from a known one in case only: Go's `encoding/json` takes `"Seccomp"` for
///   `"seccomp"`, so that to ignore it as unknown would drop a restriction someone wrote down.
///
/// All other unknown keys are ignored, as the spec demands (config.md, "Extensibility").
macro_rules! object {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty = $key:literal $(, $always:ident)?; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(non_camel_case_types, reason = "a variant for each field, by its name")]
                enum Key { $( $field, )* }

                const KEYS: &[&str] = &[$( $key, )*];

                struct Object;

                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<$name, A::Error> {
                        let mut object = $name::default();
                        let mut seen = [false; KEYS.len()];
                        while let Some(place) = access.next_key_seed($crate::spec::field::Place(KEYS))? {
                            if let Some(seen) = seen.get_mut(place)
                                && std::mem::replace(seen, true)
                            {
                                return Err($crate::spec::field::repeated(KEYS, place));
                            }
                            match place {
                                $( _ if place == Key::$field as usize => {
                                    object.$field = $crate::spec::field::value(&mut access)?;
                                } )*
                                _ => {
                                    access.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $( if object!(@always $($always)?) || !$crate::spec::field::Field::is_absent(&self.$field) {
                    $crate::spec::field::entry(&mut map, $key, &self.$field)?;
                } )*
                serde::ser::SerializeMap::end(map)
            }
        }

        impl $crate::spec::field::Field for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(<Option<$name> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
            }

            fn is_absent(&self) -> bool {
                false
            }
        }
    };
    (@always always) => { true };
    (@always) => { false };
}
pub(crate) use object;
