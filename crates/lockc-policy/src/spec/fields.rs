//! Fields as runtimes read them.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// Go writes `null` for an empty slice or map.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Go takes an empty string for one that is not there.
pub(super) fn none_if_empty<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// A map without duplicate keys: some runtimes take the first value, some the last.
pub(super) fn once_each<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Members<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut members = BTreeMap::new();
            while let Some((key, value)) = from.next_entry::<String, T>()? {
                if let Some((key, _)) = members.get_key_value(&key) {
                    return Err(serde::de::Error::custom(format!("duplicate key {key:?}")));
                }
                members.insert(key, value);
            }
            Ok(members)
        }
    }

    from.deserialize_any(Members(PhantomData))
}
