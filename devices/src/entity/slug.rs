//! From a name as people write it to the word that stands in an entity id.

/// Home Assistant's `slugify`: lower case letters, digits and single underscores; `unknown` if
/// nothing of the name is left.
///
/// Letters of the Latin scripts lose their marks; other scripts, which Home Assistant spells out in
/// Latin letters, are left out, so such names need a `default_entity_id`.
pub fn slugify(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        let is_word = c.is_ascii_alphanumeric();
        match plain(c) {
            _ if is_word => slug.push(c),
            Some(letters) => slug.push_str(letters),
            None if c == '\'' || c == '\u{2019}' || c == '\u{307}' => {}
            None if !slug.is_empty() && !slug.ends_with('_') => slug.push('_'),
            None => {}
        }
    }
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() { "unknown".to_owned() } else { slug.to_owned() }
}

fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' | 'ģ' => "g",
        'ì'..='ï' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ł' | 'ļ' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        '°' => "deg",
        'µ' | 'μ' => "u",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(slugify(name), expected, "{name}");
    }

    #[test]
    fn names_become_words() {
        check("Hall Bulb", "hall_bulb");
        check("  Küche: Licht #2 ", "kuche_licht_2");
        check("Straße", "strasse");
        check("0x00124B_motion", "0x00124b_motion");
        check("a--b__c", "a_b_c");
        check("John's lamp", "johns_lamp");
        check("Łódź", "lodz");
        check("!!!", "unknown");
        check("", "unknown");
    }
}
