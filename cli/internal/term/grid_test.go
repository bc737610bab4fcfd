package term

import (
	"strings"
	"testing"
)

func TestGrid(t *testing.T) {
	t.Parallel()
	g := NewGrid(Number("ID"), Text("NAME", 10), Spare(Number("TRIES")), Spare(Word("NOTE")), Text("DATA", 12))
	g.Add("1", "漢字漢字漢字", "0", "-", "short")
	g.Add("22", "a name of length 20.", "0", "new", "a rather long text that is cut")
	for line, want := range map[int]string{
		0: "" +
			"ID  NAME          TRIES  NOTE  DATA\n" +
			" 1  漢字漢字漢字      0  -     short\n" +
			"22  a name of…        0  new   a rather lo…\n",
		61: "" +
			"ID  NAME                  TRIES  NOTE  DATA\n" +
			" 1  漢字漢字漢字              0  -     short\n" +
			"22  a name of length 20.      0  new   a rather long text th…\n",
		40: "" +
			"ID  NAME            NOTE  DATA\n" +
			" 1  漢字漢字漢字    -     short\n" +
			"22  a name of len…  new   a rather long…\n",
		30: "" +
			"ID  NAME          DATA\n" +
			" 1  漢字漢字漢字  short\n" +
			"22  a name of l…  a rather lo…\n",
		15: "" +
			"ID  NAME  DATA\n" +
			" 1  漢…   short\n" +
			"22  a n…  a ra…\n",
		5: "" +
			"ID  NAME  DATA\n" +
			" 1  漢…   sho…\n" +
			"22  a n…  a r…\n",
	} {
		var b strings.Builder
		if err := g.WriteLines(&b, line, false); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("on %d characters it is\n%swant\n%s", line, &b, want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		most int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"漢字", 4, "漢字"},
		{"漢字漢", 5, "漢字…"},
		{"漢字漢", 4, "漢…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"e\u0301e\u0301e\u0301e", 3, "e\u0301e\u0301…"},
		{"😀😀", 3, "😀…"},
		{"ab", 1, "…"},
	} {
		if got := cut(test.text, test.most); got != test.want {
			t.Errorf("%q cut to %d is %q, want %q", test.text, test.most, got, test.want)
		}
	}
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	if got, want := Sparkline([]int64{0, 1, 50, 80, 100}, 100), "·▁▄▇█"; got != want {
		t.Errorf("drawn as %s, want %s", got, want)
	}
}
