import { describe, expect, it } from "vitest";
import { matchersOf, readMatchers, writeMatcher } from "../../src/pages/alerts/matchers";

const again = (text: string): string => readMatchers(text).matchers.map(writeMatcher).join(", ");

describe("matchers", () => {
  it("are read with and without quotes and braces, and written with them", () => {
    expect(again("severity=page")).toBe('severity="page"');
    expect(again('{a="b", c!~"d|e"}')).toBe('a="b", c!~"d|e"');
    expect(again('a != b,"host name"=~"x,y",')).toBe('a!="b", "host name"=~"x,y"');
    expect(again('a="say \\"no\\" \\\\ \\d"')).toBe('a="say \\"no\\" \\\\ \\\\d"');
    expect(again("")).toBe("");
  });

  it("say which part is none", () => {
    expect(readMatchers("a=b, severity").wrong).toBe("severity");
    expect(readMatchers('a="b').wrong).toBe('a="b');
    expect(readMatchers("=x").wrong).toBe("=x");
  });

  it("of an alert name all its labels", () => {
    expect(matchersOf({ alertname: "Down", i: 'a"b' })).toBe('alertname="Down", i="a\\"b"');
    expect(readMatchers(matchersOf({ i: 'a"b\\' })).matchers[0]?.value).toBe('a"b\\');
  });
});
