package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
)

// ReadData reads a job's data: JSON, @FILE, or - for standard input.
func ReadData(argument string, stdin io.Reader) (json.RawMessage, error) {
	text, from := []byte(argument), "the data"
	var err error
	switch {
	case argument == "-":
		from = "standard input"
		text, err = io.ReadAll(stdin)
	case strings.HasPrefix(argument, "@"):
		from = "the file " + argument[1:]
		text, err = os.ReadFile(argument[1:])
	}
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if err := checkJSON(text); err != nil {
		return nil, exit.Usagef("%s is not JSON: %w", from, err)
	}
	return bytes.TrimSpace(text), nil
}

// checkJSON says where text stops being JSON.
func checkJSON(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("it is empty")
	}
	for i, rest := 0, text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("byte 0x%02x is not UTF-8, at %s", rest[0], position(text, i))
		}
		i, rest = i+size, rest[size:]
	}
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := int(syntax.Offset)
		if at > 0 && !strings.Contains(err.Error(), "unexpected end") {
			at-- // it counts what was read, with the character at fault
		}
		return fmt.Errorf("%w, at %s", err, position(text, at))
	}
	return err
}

// position tells the line and the character, both from 1, of an offset in bytes.
func position(text []byte, offset int) string {
	before := text[:min(offset, len(text))]
	line := 1 + bytes.Count(before, []byte("\n"))
	start := bytes.LastIndexByte(before, '\n') + 1
	return fmt.Sprintf("line %d, character %d", line, 1+utf8.RuneCount(before[start:]))
}
