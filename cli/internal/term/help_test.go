package term

import "testing"

func TestWrap(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{
		0:  "ab = on: a commit of änother\n",
		28: "ab = on: a commit of änother\n",
		27: "ab = on: a commit of\n  änother\n",
		9:  "ab = on:\n  a commit\n  of\n  änother\n",
		1:  "ab\n  =\n  on:\n  a\n  commit\n  of\n  änother\n",
	} {
		if got := Wrap("ab = on: a commit of änother", width, "  "); got != want {
			t.Errorf("at %d it is %q, want %q", width, got, want)
		}
	}
}

func TestReflow(t *testing.T) {
	t.Parallel()
	text := "One sentence\nthat goes on.\n\nUsage:\n  sqlqueue work with many flags and arguments\n\n" +
		"Flags:\n      --a name    what a is\n  -h, --help   help\n"
	want := "One sentence that\ngoes on.\n\nUsage:\n  sqlqueue work with many flags and arguments\n\n" +
		"Flags:\n      --a name    what a is\n  -h, --help   help\n"
	if got := reflow(text, 20); got != want {
		t.Errorf("at 20 it is\n%s\nwant\n%s", got, want)
	}
	if got, want := reflow("      --a name    what a is\n", 36), "      --a name    what a is\n"; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	if got, want := reflow("  -a name  what a is\n", 20), "  -a name  what a is\n"; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	if got, want := reflow("  -a name  what a is, and more\n", 24), "  -a name  what a is,\n           and more\n"; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}
