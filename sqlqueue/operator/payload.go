package operator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// StartOfPayload is how many characters of each payload a list needs: enough for NameAndData. A thousand whole payloads may be larger
// than the memory. It is for JobFilter.PayloadMax and FailedFilter.TextMax.
const StartOfPayload = 4096

// IsCut reports whether more may follow a text that was cut to StartOfPayload.
func IsCut(text []byte) bool { return utf8.RuneCount(text) >= StartOfPayload }

// Encodable returns a payload that can stand in JSON: itself, or, if Go does not take it for JSON, such as one that nests too deep, a
// string with its text.
func Encodable(payload json.RawMessage) json.RawMessage {
	if json.Valid(payload) {
		return payload
	}
	text, _ := json.Marshal(string(payload))
	return text
}

// encrypted is what people are shown of data that is.
const encrypted = "encrypted"

// NameAndData returns what people are shown of a payload: the name of its handler, or ?, and its data, of which it says "encrypted" if
// it is. It takes any payload, also one that was cut to StartOfPayload, or that no handler could read.
func NameAndData(payload []byte) (name, data string) {
	if IsCut(payload) && !json.Valid(payload) {
		return NameAndStart(payload)
	}
	parsed, err := sqlqueue.ParsePayload(payload)
	if err != nil && parsed.Job == "" {
		return "?", string(payload)
	}
	if sqlqueue.IsEncrypted(parsed.Data) {
		return parsed.Job, encrypted
	}
	return parsed.Job, string(parsed.Data)
}

// NameAndStart is NameAndData of a payload that was cut somewhere: the data may end in the middle. With two names it has none: see
// sqlqueue.ParsePayload.
func NameAndStart(payload []byte) (name, data string) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return "?", string(payload)
	}
	for names := 0; ; {
		token, err := decoder.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			break
		}
		rest := payload[decoder.InputOffset():]
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			value = bytes.TrimLeft(rest, ": \t\r\n") // cut
			if key == "data" {
				data = string(value)
			}
			break
		}
		switch key {
		case "job":
			if names++; names > 1 || json.Unmarshal(value, &name) != nil {
				name = ""
			}
		case "data":
			data = string(value)
		}
	}
	if sqlqueue.IsEncrypted([]byte(data)) {
		data = encrypted
	}
	return cmp.Or(name, "?"), cmp.Or(data, string(payload))
}
