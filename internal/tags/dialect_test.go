package tags

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in, want, reason string
		dialect          Dialect
		tag              Tag
	}{
		{in: "a=b", dialect: plain, tag: Tag{Key: "a=b"}, want: "a=b", reason: "a plain tag is one string, whatever is in it"},
		{in: " A ", dialect: plain, tag: Tag{Key: " A "}, want: " A ", reason: "blanks and case are part of the tag"},
		{in: "true", dialect: plain, tag: Tag{Key: "true"}, want: "true", reason: "no word is special in a plain tag"},
		{in: "k", dialect: pairs, tag: Tag{Key: "k"}, want: "k", reason: "no value is the bare tag"},
		{in: "k=", dialect: pairs, tag: Tag{Key: "k"}, want: "k", reason: "an empty value is the bare tag"},
		{in: "k=TrUe", dialect: pairs, tag: Tag{Key: "k"}, want: "k", reason: "true in any case is the bare tag"},
		{in: "k=a=b", dialect: pairs, tag: Tag{Key: "k", Value: "a=b"}, want: "k=a=b", reason: "the first = ends the key"},
		{in: "K=V", dialect: pairs, tag: Tag{Key: "K", Value: "V"}, want: "K=V", reason: "case is kept"},
		{in: "k=12345678", dialect: pairs, tag: Tag{Key: "k", Value: "12345678"}, want: "k=12345678", reason: "a value that just fits is kept"},
		{in: "k=123456789", dialect: pairs, tag: Tag{Key: "k", Value: "12345678"}, want: "k=12345678", reason: "a longer one is cut"},
		{in: "k=日本語日本語日本語", dialect: pairs, tag: Tag{Key: "k", Value: "日本語日本語日本"}, want: "k=日本語日本語日本", reason: "characters are counted, not bytes"},
		{in: "k=日本語", dialect: pairs, tag: Tag{Key: "k", Value: "日本語"}, want: "k=日本語", reason: "more bytes than the limit are not more characters"},
	} {
		t.Run(c.in, func(t *testing.T) {
			tag, err := c.dialect.Parse(c.in)
			if err != nil || tag != c.tag {
				t.Errorf("%s: got %+v, %v, want %+v", c.reason, tag, err, c.tag)
			}
			if got := c.dialect.Format(tag); got != c.want {
				t.Errorf("%s: formatted %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

func TestFormatRaw(t *testing.T) {
	for _, c := range []struct {
		raw, want, reason string
		dialect           Dialect
	}{
		{raw: "", dialect: pairs, want: "k", reason: "MLflow allows empty values"},
		{raw: "TRUE", dialect: pairs, want: "k", reason: "Python writes True"},
		{raw: "False", dialect: pairs, want: "k=False", reason: "false is a value"},
		{raw: " true", dialect: pairs, want: "k= true", reason: "a blank makes another value"},
		{raw: "whatever", dialect: plain, want: "k", reason: "plain tags have no values"},
	} {
		if got := c.dialect.FormatRaw("k", c.raw); got != c.want {
			t.Errorf("%s: %q is shown as %q, want %q", c.reason, c.raw, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		in, want, reason string
		dialect          Dialect
	}{
		{in: strings.Repeat("é", 64), dialect: plain, reason: "64 characters fit, however many bytes they are"},
		{in: strings.Repeat("é", 65), dialect: plain, want: "too long for W&B, 65 characters of at most 64", reason: "one more does not"},
		{in: strings.Repeat("x", 9999), dialect: Dialect{}, reason: "no limit is no limit"},
		{in: "k=" + strings.Repeat("v", 99), dialect: pairs, reason: "values are cut, not refused"},
		{in: "mlflow.user=me", dialect: pairs, want: "runtag never touches it", reason: "hidden keys cannot be declared"},
		{in: "k!", dialect: pairs, want: `refused by MLflow: keys have no "!"`, reason: "the tracker's reason is passed on"},
		{in: "a", dialect: Dialect{Hidden: func(string) bool { return true }}, want: "belongs to the tracker", reason: "a dialect without a name still makes a sentence"},
	} {
		tag, err := c.dialect.Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		err = c.dialect.Check(tag)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.reason, err, c.want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for policy := Observe; policy <= Exclusive; policy++ {
		if got, err := ParsePolicy(policy.String()); err != nil || got != policy {
			t.Errorf("%v is read back as %v, %v", policy, got, err)
		}
	}
	if got, err := ParsePolicy(""); err != nil || got != Merge {
		t.Errorf("the default is %v, %v, want Merge", got, err)
	}
	if got, err := ParsePolicy("merge"); err == nil || got != Observe {
		t.Errorf("an unknown name gives %v, %v; want Observe and an error", got, err)
	}
	if got := Policy(7).String(); got != "Policy(7)" {
		t.Errorf("an unknown policy is printed as %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "a", "k=v", "=v", "k=", "k=TRUE", "k==", "mlflow.x", "é", "\xff", "k=123456789", "k=trueeeeeeee", " k = v "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range []Dialect{plain, pairs, {Pairs: true, MaxValue: 4}} {
			tag, err := d.Parse(s)
			if err != nil {
				continue
			}
			name := d.Format(tag)
			if again, err := d.Parse(name); err != nil || again != tag {
				t.Errorf("%q is %+v, written %q, read back as %+v, %v", s, tag, name, again, err)
			}
			if shown := d.FormatRaw(tag.Key, d.raw(tag)); shown != name {
				t.Errorf("%q is %q, and shown as %q once it is on the run", s, name, shown)
			}
			if !d.satisfies(tag, d.raw(tag)) {
				t.Errorf("%q: what is written does not satisfy it", s)
			}
			if !d.Pairs && name != s {
				t.Errorf("plain tag %q became %q", s, name)
			}
		}
	})
}
