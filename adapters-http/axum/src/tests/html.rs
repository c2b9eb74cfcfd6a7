//! A strict parser of pages. It accepts only the subset of HTML that the templates use.

/// The tags of a page in order, as `name` or `/name`, with their attributes' names and values.
pub(super) fn tags(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut rest = html.strip_prefix("<!doctype html>").expect("a doctype");
    let mut tags = Vec::new();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a stray > in {:?}", &rest[..start]);
        let end = end_of_tag(&rest[start..]);
        tags.push(tag(&rest[start + 1..start + end]));
        rest = &rest[start + end + 1..];
    }
    assert!(!rest.contains('>'));
    tags
}

/// The names of all tags: the element set of a page.
pub(super) fn names(html: &str) -> Vec<String> {
    tags(html).into_iter().map(|(name, _)| name).collect()
}

/// The value of an attribute of the first element that has it.
pub(super) fn attribute(html: &str, name: &str) -> Option<String> {
    tags(html).into_iter().flat_map(|(_, attributes)| attributes).find(|(have, _)| have == name).map(|(_, value)| value)
}

fn end_of_tag(text: &str) -> usize {
    let mut quoted = false;
    for (position, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '>' if !quoted => return position,
            '<' if position > 0 => panic!("a stray < in {text:.80}"),
            _ => {}
        }
    }
    panic!("a tag without end: {text:.80}");
}

fn tag(inner: &str) -> (String, Vec<(String, String)>) {
    let (name, mut rest) = inner.split_once(' ').unwrap_or((inner, ""));
    let plain = name.strip_prefix('/').unwrap_or(name);
    assert!(!plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_alphanumeric()), "tag {name:?}");
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        rest = rest.trim_start();
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let key = rest[..end].to_owned();
        assert!(!key.starts_with("on") && key != "style", "inline code or style in {inner:?}");
        rest = &rest[end..];
        let value = match rest.strip_prefix("=\"") {
            Some(quoted) => {
                let end = quoted.find('"').expect("a closing quote");
                rest = &quoted[end + 1..];
                quoted[..end].to_owned()
            }
            None => String::new(),
        };
        attributes.push((key, value));
    }
    (name.to_owned(), attributes)
}
