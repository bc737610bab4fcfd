package term

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteJSON prints v on one line.
func WriteJSON(w io.Writer, v any) error {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, PrintableJSON(strings.TrimSuffix(b.String(), "\n")))
	return err
}

// PrintableJSON escapes the characters of encoded JSON that a terminal could take for something else. They are in strings only, so it means
// the same.
func PrintableJSON(s string) string {
	return mapUnprintable(s, func(r rune, _ string) string {
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// WriteArray prints an array, one element on each line.
func WriteArray[T any](w io.Writer, elements []T) error {
	if len(elements) == 0 {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	for i, element := range elements {
		var line strings.Builder
		if err := WriteJSON(&line, element); err != nil {
			return err
		}
		start, end := " ", ","
		if i == 0 {
			start = "["
		}
		if i == len(elements)-1 {
			end = "]"
		}
		if _, err := fmt.Fprintln(w, start+strings.TrimSuffix(line.String(), "\n")+end); err != nil {
			return err
		}
	}
	return nil
}
