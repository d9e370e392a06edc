//! Names with `*` in them: of Kubernetes namespaces, of sysctls.

/// Whether `name` fits: `*` stands for any characters, none included; everything else for itself.
pub fn fits(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            // The earliest place leaves most for what follows.
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (glob, name, fit) in [
            ("team-*", "team-a", true),
            ("team-*", "team-", true),
            ("team-*", "teams", false),
            ("*-dev", "a-dev", true),
            ("*-dev", "a-dev-b", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("*", "x", true),
            ("**", "", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(glob, name), fit, "{glob} {name}");
        }
    }

    proptest! {
        #[test]
        fn the_definition_says_the_same(glob in "[ab*]{0,6}", name in "[ab]{0,8}") {
            // Dynamic programming over both, by the definition.
            let (g, n) = (glob.as_bytes(), name.as_bytes());
            let mut fit = vec![vec![false; n.len() + 1]; g.len() + 1];
            fit[0][0] = true;
            for i in 1..=g.len() {
                for j in 0..=n.len() {
                    fit[i][j] = if g[i - 1] == b'*' {
                        fit[i - 1][j] || (j > 0 && fit[i][j - 1])
                    } else {
                        j > 0 && g[i - 1] == n[j - 1] && fit[i - 1][j - 1]
                    };
                }
            }
            prop_assert_eq!(fits(&glob, &name), fit[g.len()][n.len()]);
        }
    }
}
