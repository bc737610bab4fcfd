package term

import "testing"

func TestPrintableJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{\"a\":\"ü漢\"}": "{\"a\":\"ü漢\"}", "\"\u009b\u202e\x7f\"": `"\u009b\u202e\u007f"`,
		"\"\U000e0001\"": `"\udb40\udc01"`, "\"\xff\"": `"\ufffd"`,
	} {
		if got := PrintableJSON(text); got != want {
			t.Errorf("%q is printed as %s, want %s", text, got, want)
		}
	}
}
