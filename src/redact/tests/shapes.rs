//! The shapes in which a key and its value are written, each with what is left of it.

use super::text;

/// `X` stands for the secret, in a cause and in a string of an input.
fn check(cases: &[(&str, &str)]) {
    for (before, after) in cases {
        let before = before.replace('X', "hunterXY77");
        assert_eq!(text(&before), *after);
        assert_eq!(text(after), *after, "again");
        if serde_json::from_str::<serde_json::Value>(&before).is_ok() {
            continue;
        }
        let quoted = |text: &str| serde_json::to_string(&serde_json::json!({"m": text})).unwrap();
        assert_eq!(text(&quoted(&before)), quoted(after));
        let cut_off = text(&format!("{} cut", quoted(&before)));
        assert!(!cut_off.contains("hunter"), "{cut_off}");
    }
}

#[test]
fn what_is_written_around_a_quoted_value_is_a_part_of_it() {
    check(&[
        ("{'a': 1, 'password': b'X'}", "{'a': 1, 'password': '[redacted]'}"),
        ("{u'password': u'X', u'b': 1}", "{u'password': '[redacted]', u'b': 1}"),
        ("C(password=SecretStr('X'), b=1)", "C(password=[redacted], b=1)"),
        ("{'password': ('X', 'x'), 'b': 1}", "{'password': '[redacted]', 'b': 1}"),
        ("C { password: Some(\"X\"), b: 1 }", "C { password: [redacted], b: 1 }"),
        ("C {\n  password: Some(\n    \"X\",\n  ),\n  b: 1,\n}", "C {\n  password: [redacted],\n  b: 1,\n}"),
        ("C { token: Ok(\"X\") }", "C { token: [redacted] }"),
        ("main.C{Password:(*string)(\"X\"), B:1}", "main.C{Password:[redacted], B:1}"),
        ("password='''a X''' b", "password='''[redacted]''' b"),
        ("password := \"X\"", "password := \"[redacted]\""),
        ("password='it''s X', b='c'", "password='[redacted]', b='c'"),
        ("C { password: Secret { inner: \"X\" }, b: 1 }", "C { password: [redacted], b: 1 }"),
        ("{password: new String('X'), b: 1}", "{password: [redacted], b: 1}"),
        ("password=Just \"X\" b", "password=[redacted] b"),
        ("password: &\"X\" b", "password: [redacted] b"),
        ("password: 'it's X' b", "password: '[redacted]' b"),
        ("password='', b=1", "password='', b=1"),
    ]);
}

#[test]
fn a_header_is_secret_up_to_the_end_of_its_line() {
    check(&[
        ("Authorization: NTLM X\nb: 1", "Authorization: [redacted]\nb: 1"),
        ("Authorization: Token token=\"X\"\nb", "Authorization: [redacted]\nb"),
        ("Authorization: Digest username=\"a\", response=\"X\"", "Authorization: [redacted]"),
        ("Authorization:\tBearer\tX", "Authorization:\t[redacted]"),
        ("Proxy-Authorization: Splunk X", "Proxy-Authorization: [redacted]"),
        ("curl -H 'Authorization: SSWS X' https://a", "curl -H 'Authorization: [redacted]' https://a"),
        ("Cookie: a=1; session=X", "Cookie: [redacted]"),
        ("Set-Cookie: sid=X; Path=/", "Set-Cookie: [redacted]"),
        ("Cookie=a=1; b=X c=2", "Cookie=[redacted] c=2"),
        ("authorization=SSWS X status=403 b", "authorization=[redacted] status=403 b"),
        ("{Authorization=[Bearer X], b=1}", "{Authorization=[redacted], b=1}"),
        ("{Authorization=NTLM X, b=1}", "{Authorization=[redacted], b=1}"),
    ]);
}

#[test]
fn a_value_may_stand_on_the_lines_after_its_key() {
    check(&[
        ("a:\n  password: |\n    X\n    X\n  b: 1", "a:\n  password: |\n    [redacted]\n  b: 1"),
        ("password: >-\n  X\nb: 1", "password: >-\n  [redacted]\nb: 1"),
        ("passwords:\n  - X\n  - X\nb: 1", "passwords:\n  [redacted]\nb: 1"),
        ("passwords:\n- X\n- X\nb: 1", "passwords:\n[redacted]\nb: 1"),
        ("secret:\n  value1: X\nb: 1", "secret:\n  [redacted]\nb: 1"),
        ("password:\nX\nb c", "password:\n[redacted]\nb c"),
        ("Password:\r\nX\r\nb c", "Password:\r\n[redacted]\r\nb c"),
        ("password: &pw X\n", "password: &pw [redacted]\n"),
        ("password: !!str X\n", "password: !!str [redacted]\n"),
        ("Invalid token:\n    at a.B.c(B.java:3)\n", "Invalid token:\n    at a.B.c(B.java:3)\n"),
        ("Invalid token:\nthe one of yesterday", "Invalid token:\nthe one of yesterday"),
    ]);
}

#[test]
fn keys_may_stand_in_brackets_and_be_escaped_for_addresses() {
    check(&[
        ("POST user[name]=a&user[password]=X b", "POST user[name]=a&user[password]=[redacted] b"),
        ("GET /x?token[]=X&b=1", "GET /x?token[]=[redacted]&b=1"),
        ("config['password'] = 'X'", "config['password'] = '[redacted]'"),
        ("Array\n(\n    [password] => X\n)", "Array\n(\n    [password] => [redacted]\n)"),
        ("{\n  [\"password\"]=>\n  string(10) \"X\"\n}", "{\n  [\"password\"]=>\n  [redacted]\n}"),
        ("user%5Bpassword%5D=X&b=1", "user%5Bpassword%5D=[redacted]&b=1"),
        ("?next=https%3A%2F%2Fx%2F%3Ftoken%3DX&b=1", "?next=https%3A%2F%2Fx%2F%3Ftoken%3D[redacted]&b=1"),
        ("?a%3D1%26token%3DX%26b%3D2&c=3", "?a%3D1%26token%3D[redacted]%26b%3D2&c=3"),
        ("?next=%253Ftoken%253DX b", "?next=%253Ftoken%253D[redacted] b"),
        ("GET /?api%5Fkey=X&b=1", "GET /?api%5Fkey=[redacted]&b=1"),
    ]);
}

#[test]
fn punctuation_in_a_bare_value_is_a_part_of_it_unless_another_key_follows() {
    for inside in [",", ";", "&", ")", "]", "}", "\"", "'", "<", ">", "\\", ")]", "%26", "’"] {
        check(&[(&format!("password=ab{inside}X and"), "password=[redacted] and")]);
    }
    check(&[
        ("password=\\X and", "password=[redacted] and"),
        ("password=X,b=1", "password=[redacted],b=1"),
        ("Password=X;Encrypt=true", "Password=[redacted];Encrypt=true"),
        ("?a=1&amp;password=X&amp;b=1", "?a=1&amp;password=[redacted]&amp;b=1"),
        ("f(password=X), b", "f(password=[redacted]), b"),
        ("password: “a X” b", "password: “[redacted]” b"),
        ("password=`a X` b", "password=`[redacted]` b"),
    ]);
}

#[test]
fn elements_may_hold_others_and_be_named_by_an_attribute() {
    check(&[
        ("<password><![CDATA[X]]></password><b/>", "<password>[redacted]</password><b/>"),
        ("<password><value>X</value></password><b/>", "<password>[redacted]</password><b/>"),
        ("&lt;password&gt;X&lt;/password&gt; b", "&lt;password&gt;[redacted]&lt;/password&gt; b"),
        ("<param name=\"password\">X</param>", "<param name=\"password\">[redacted]</param>"),
        ("<add key=\"password\" value=\"X\"/>", "<add key=\"password\" value=\"[redacted]\"/>"),
    ]);
}

#[test]
fn names_and_values_need_no_quotation_marks() {
    check(&[
        (
            "[{Name=DB_PASSWORD, Value=X}, {Name=A, Value=b}]",
            "[{Name=DB_PASSWORD, Value=[redacted]}, {Name=A, Value=b}]",
        ),
        ("KeyValuePair(Name=DB_PASSWORD, Value=X)", "KeyValuePair(Name=DB_PASSWORD, Value=[redacted])"),
        ("- name: DB_PASSWORD\n  value: X\n- name: b", "- name: DB_PASSWORD\n  value: [redacted]\n- name: b"),
        (r#"{"k":"password","v":"X"}"#, r#"{"k":"password","v":"[redacted]"}"#),
        (r#"{"field":"password","value":"X"}"#, r#"{"field":"password","value":"[redacted]"}"#),
    ]);
}

#[test]
fn nested_values_end_where_they_do_whichever_marks_are_in_them() {
    check(&[
        (r#"{'passwords': ["a ] b's", 'X'], 'a': 1}"#, "{'passwords': '[redacted]', 'a': 1}"),
        ("{credentials: {u: 'a}', k: 'X'}, a: 1}", "{credentials: [redacted], a: 1}"),
        ("{tokens: ['a]', 'X'], a: 1}", "{tokens: [redacted], a: 1}"),
        ("{tokens: [it's, 'X'], a: 1}", "{tokens: [redacted], a: 1}"),
    ]);
}

#[test]
fn separators_have_many_forms() {
    check(&[
        ("password\u{a0}: X b", "password\u{a0}: [redacted] b"),
        ("password:\u{a0}X b", "password:\u{a0}[redacted] b"),
        ("password： X b", "password： [redacted] b"),
        ("pass\u{200b}word=X b", "pass\u{200b}word=[redacted] b"),
        ("password:            X b", "password:            [redacted] b"),
        ("spring:datasource:password: X b", "spring:datasource:password: [redacted] b"),
        ("password -> X b", "password -> [redacted] b"),
    ]);
}

#[test]
fn sentences_about_secrets_stay() {
    for same in [
        "invalid token: expected ) at line 3",
        "secret: not found",
        "password: required",
        "Auth: OK",
        "failed to get secret: ResourceNotFoundException: there is none",
        "Unexpected token: identifier (name)",
        "card: declined by its issuer",
        "pin: out of range",
        "authorization: denied for arn:aws:iam::1:role/x",
        "def authenticate(token: str) -> bool",
        "SyntaxError: Unexpected token: ( at line 4",
        "authorization failed: user amira has no access",
        "List<Token> were 3 of <Foo>",
        "auth::Error in crate::token::Parser",
        r#"{"credentialsProvider":"env","SecretId":"orders/db","passRate":"98%","pin_code_sent":"yes"}"#,
    ] {
        assert_eq!(text(same), same);
    }
}

#[test]
fn only_numbers_of_tokens_are_counts() {
    for key in ["sessionId", "pass", "cookie", "auth", "signature", "jwt"] {
        assert_eq!(text(&format!("{{\"{key}\":8123456789}}")), format!("{{\"{key}\":\"[redacted]\"}}"));
    }
    for same in [r#"{"token_count":12,"tokens_used":12,"max_tokens":9,"tokens":7}"#, "max_tokens=4096"] {
        assert_eq!(text(same), same);
    }
}
