//! Weights of the `Accept-…` header fields (RFC 9110 §12.4.2).

/// The weight in the parameters of an element, between 0 and 1: 1 without a weight, 0 for one that is malformed.
pub(crate) fn weight(parameters: &str) -> f32 {
    let mut weights = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(text) = weights.next() else { return 1.0 };
    text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_between_zero_and_one() {
        let same = |one: f32, other: f32| (one - other).abs() < f32::EPSILON;
        for (parameters, expected) in [
            ("", 1.0),
            ("q=1", 1.0),
            (" Q = 0.5 ", 0.5),
            ("level=1;q=0.25", 0.25),
            ("q=0", 0.0),
            ("q=x", 0.0),
            ("q=-1", 0.0),
            ("q=2", 0.0),
            ("q=NaN", 0.0),
        ] {
            assert!(same(weight(parameters), expected), "{parameters}");
        }
    }
}
