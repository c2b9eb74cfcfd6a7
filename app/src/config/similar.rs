//! The existing name that is most similar to a mistyped one.

/// The longest name that is compared, in bytes. No key and no variable is as long.
const LONGEST: usize = 128;

/// The most similar name, if it is similar enough: at most a third of its letters are different.
pub(super) fn similar<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > LONGEST {
        return None;
    }
    let distances = known.into_iter().map(|candidate| (distance(name, candidate), candidate));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(nearest)
}

/// The number of insertions, deletions, replacements and exchanges of neighbours between two names, upper and lower case
/// being equal.
fn distance(from: &str, to: &str) -> usize {
    let letters = |text: &str| text.chars().map(|letter| letter.to_ascii_lowercase()).collect::<Vec<char>>();
    let (from, to) = (letters(from), letters(to));
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, letter) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(letter != other);
            let mut least = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_similar_if_few_letters_differ() {
        let known = ["listen", "public_base_url", "store", "telemetry"];
        for (name, expected) in [
            ("lisen", Some("listen")),
            ("listne", Some("listen")),
            ("Listen", Some("listen")),
            ("public_baseurl", Some("public_base_url")),
            ("telemtry", Some("telemetry")),
            ("sotre", Some("store")),
            ("canary", None),
            ("", None),
        ] {
            assert_eq!(similar(name, known), expected, "{name}");
        }
        assert_eq!(similar("x", []), None);
        let long = "a".repeat(LONGEST);
        assert_eq!(similar(&long, [long.as_str()]), Some(long.as_str()));
        assert_eq!(similar(&format!("{long}a"), [long.as_str()]), None, "a name that is too long to compare");
    }
}
