//! Names of functions and files without what differs from build to build and from run to run: numbers of lambdas and
//! anonymous classes, hashes, generated class suffixes, folders of a release.

/// Appends the function's name as it is the same in every build.
pub fn function(name: &str, into: &mut String) {
    // Everything behind these is made up by a framework, anew in each run.
    let generated =
        ["$$Lambda", "$$EnhancerBy", "$$FastClassBy", "$$SpringCGLIB", "$HibernateProxy", "$MockitoMock", "$$anon"];
    let name = generated.iter().filter_map(|mark| name.find(mark)).min().map_or(name, |at| &name[..at]);
    let mut at = 0;
    let bytes = name.as_bytes();
    while at < bytes.len() {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
        if !is_word(&bytes[at]) {
            let end = bytes[at..].iter().position(is_word).map_or(bytes.len(), |length| at + length);
            into.push_str(&name[at..end]);
            at = end;
            continue;
        }
        let end = bytes[at..].iter().position(|byte| !is_word(byte)).map_or(bytes.len(), |length| at + length);
        into.push_str(word(&name[at..end]));
        at = end;
    }
}

/// A word of a name without its number, where that is no part of what people called it.
fn word(word: &str) -> &str {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_hash =
        word.len() >= 8 && digits > 0 && word.trim_start_matches('h').bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits == word.len() || is_hash || word.len() > 2 && word.starts_with("0x") {
        return "";
    }
    let numbered =
        ["func", "lambda", "Proxy", "GeneratedMethodAccessor", "GeneratedConstructorAccessor", "DisplayClass", "anon"];
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if digits > 0 && (numbered.contains(&stem) || stem.is_empty()) { stem } else { word }
}

/// Appends the file's name with the folder it is in, without what differs from release to release.
pub fn file(path: &str, into: &mut String) {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut from_end = path.rsplit(['/', '\\']);
    let name = from_end.next().unwrap_or(path);
    let folder = from_end.next().unwrap_or_default();
    // `releases/20260501/cart.rb`, `app@1.2.3/cart.js`: where it lies says nothing then.
    if !folder.bytes().any(|byte| byte.is_ascii_digit()) && !matches!(folder, "" | "." | "current") {
        into.push_str(folder);
        into.push('/');
    }
    // `app.4f3a2b1c.min.js`, `chunk-2XK4QZ.js`: a part with a digit between dots or dashes is the build's.
    let parts: Vec<&str> = name.split_inclusive(['.', '-', '_']).collect();
    for (at, part) in parts.iter().enumerate() {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let is_build = at > 0 && digits > 0 && part.len() > 5;
        into.push_str(if is_build { "*." } else { part });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_lose_what_differs_from_build_to_build() {
        let check = |name: &str, expected: &str| {
            let mut found = String::new();
            super::function(name, &mut found);
            assert_eq!(found, expected, "{name}");
        };
        check("com.acme.Cart.total", "com.acme.Cart.total");
        check("com.acme.Http2Server.read", "com.acme.Http2Server.read");
        check("com.acme.Cart.lambda$total$14", "com.acme.Cart.lambda$total$");
        check("com.acme.Cart$$Lambda$15/0x0000000800c8.apply", "com.acme.Cart");
        check("com.acme.Cart$$EnhancerBySpringCGLIB$$9f3a.total", "com.acme.Cart");
        check("com.acme.Cart$1.run", "com.acme.Cart$.run");
        check("com.sun.proxy.$Proxy123.find", "com.sun.proxy.$Proxy.find");
        check("main.main.func1.2", "main.main.func.");
        check("shop::cart::total::h0123456789abcdef", "shop::cart::total::");
        check("Acme.Cart.<Total>d__12.MoveNext", "Acme.Cart.<Total>d__.MoveNext");
        check("Acme.Cart.<>c__DisplayClass4_0.<Total>b__1", "Acme.Cart.<>c__DisplayClass_.<Total>b__");
        check("größe.größe2", "größe.größe2");
    }

    #[test]
    fn files_lose_their_release() {
        let check = |path: &str, expected: &str| {
            let mut found = String::new();
            super::file(path, &mut found);
            assert_eq!(found, expected, "{path}");
        };
        check("/app/shop/cart.py", "shop/cart.py");
        check("C:\\src\\shop\\Cart.cs", "shop/Cart.cs");
        check("/srv/releases/20260501/cart.rb", "cart.rb");
        check("https://cdn/static/app.4f3a2b1c.min.js?v=7", "static/app.*.min.js");
        check("https://cdn/static/app.99aa77bb.min.js", "static/app.*.min.js");
        check("cart.js", "cart.js");
    }
}
