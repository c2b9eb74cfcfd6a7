//! Characters that must not reach a page, a log line or a terminal as they are.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether a character is a control, formatting or line-separating character, or one that may show nothing. It could start a
/// line, hide a part of a text or change its order.
///
/// These are the general categories Cc, Cf, Zl and Zp, the property `Default_Ignorable_Code_Point`, and two symbols that
/// stand for nothing: the blank Braille pattern and the object replacement character. Variation selectors and joiners are
/// among them: without a joiner, the symbols are shown separately.
#[must_use]
pub fn acts_on_output(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let is_formatting = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    let is_blank = matches!(character, '\u{2800}' | '\u{fffc}');
    is_formatting || is_blank || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bidirectional_and_line_separating_characters_are_recognised() {
        let bidirectional =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let controls = (0..0x20_u8).chain(0x7f..=0x9f).map(char::from);
        for character in controls.chain(bidirectional.chars()).chain("\u{2028}\u{2029}".chars()) {
            assert!(acts_on_output(character), "{character:?}");
        }
    }

    #[test]
    fn invisible_characters_are_recognised() {
        // Formatting characters of any script, and characters that are not displayed at all.
        let ranges = [
            '\u{ad}'..='\u{ad}',
            '\u{34f}'..='\u{34f}',
            '\u{600}'..='\u{605}',
            '\u{6dd}'..='\u{6dd}',
            '\u{70f}'..='\u{70f}',
            '\u{8e2}'..='\u{8e2}',
            '\u{115f}'..='\u{1160}',
            '\u{17b4}'..='\u{17b5}',
            '\u{180b}'..='\u{180f}',
            '\u{200b}'..='\u{200f}',
            '\u{2060}'..='\u{206f}',
            '\u{2800}'..='\u{2800}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{fff0}'..='\u{fffc}',
            '\u{110bd}'..='\u{110bd}',
            '\u{13430}'..='\u{1343f}',
            '\u{1bca0}'..='\u{1bca3}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0000}'..='\u{e0fff}',
        ];
        for character in ranges.into_iter().flatten() {
            assert!(acts_on_output(character), "{}", character.escape_unicode());
        }
    }

    #[test]
    fn ordinary_text_is_not_affected() {
        let text = "Grüße, e\u{301}, 日本語, עברית, العربية, हिन्दी, a\\b \"c\" \u{1f600} \u{2801}";
        assert!(!text.chars().any(acts_on_output));
    }
}
