package dashboard

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// node is a value of JSON, byte for byte: numbers are never parsed.
type node struct {
	Name    string
	HasName bool
	Text    string // of a value that is neither an object nor an array
	Kind    string // object, array, string, number, word
	Size    int
	Nodes   []node
	More    int // members that are not shown
}

// Open reports whether a value is expanded at first.
func (n node) Open() bool { return n.Size <= 30 }

const (
	maxMembers = 200 // of one object or array
	maxNodes   = 1000
	maxLevels  = 12
)

// treeOf reads JSON whose secrets are hidden already.
func treeOf(raw []byte) node {
	left := maxNodes
	return tree(raw, maxLevels, &left)
}

func tree(raw []byte, levels int, left *int) node {
	*left--
	raw = bytes.TrimSpace(raw)
	n := node{Kind: "word", Text: string(raw)}
	if len(raw) == 0 {
		return n
	}
	switch c := raw[0]; {
	case c == '"':
		n.Kind = "string"
		return n
	case c != '{' && c != '[':
		if c == '-' || c >= '0' && c <= '9' {
			n.Kind = "number"
		}
		return n
	case levels == 0 || *left <= 0:
		return n
	}
	isObject := raw[0] == '{'
	n.Kind, n.Text = map[bool]string{true: "object", false: "array"}[isObject], ""
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, _ = decoder.Token()
	for i := 0; decoder.More(); i++ {
		name := strconv.Itoa(i)
		if isObject {
			token, err := decoder.Token()
			if err != nil {
				break
			}
			name, _ = token.(string)
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			break
		}
		if n.Size++; i >= maxMembers || *left <= 0 {
			n.More++
			continue
		}
		child := tree(value, levels-1, left)
		child.Name, child.HasName = name, true
		n.Nodes = append(n.Nodes, child)
	}
	return n
}

// nameAndData returns the parts of a payload to show, also if no handler could read it or it was cut.
func (d *Dashboard) nameAndData(l *language, payload []byte) (name, data string) {
	parsed, err := sqlqueue.ParsePayload(payload)
	if err == nil && sqlqueue.IsEncrypted(parsed.Data) {
		return parsed.Job, l.say("data.encrypted")
	}
	if err == nil || parsed.Job != "" && parsed.Data != nil {
		return parsed.Job, string(d.redactData(parsed.Job, parsed.Data))
	}
	name = parsed.Job
	hidden := string(d.redact(name, payload))
	if name == "" {
		name, hidden = operator.NameAndStart([]byte(hidden))
	}
	return name, hidden
}

// indented writes JSON on lines, without changing its values. Text that is not JSON stays.
func indented(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// restore puts hidden values back into edited data, where a mask is still in its place. It returns an error for a mask that hides nothing.
func restore(edited, original, masked []byte) ([]byte, error) {
	if !bytes.Contains(edited, []byte(mask)) {
		return edited, nil
	}
	edited, original, masked = bytes.TrimSpace(edited), bytes.TrimSpace(original), bytes.TrimSpace(masked)
	if bytes.Equal(edited, masked) {
		return original, nil
	}
	parts, before, hidden := elements(edited), elements(original), elements(masked)
	if parts == nil || before == nil || hidden == nil || edited[0] != original[0] {
		return nil, say("edit.mask")
	}
	isObject := edited[0] == '{'
	var b bytes.Buffer
	b.WriteByte(edited[0])
	for i, part := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		if isObject {
			name, _ := json.Marshal(part.name)
			b.Write(name)
			b.WriteByte(':')
		}
		value := []byte(part.value)
		if bytes.Contains(value, []byte(mask)) {
			o, h := member(before, part.name), member(hidden, part.name)
			if o == nil || h == nil || bytes.Count(o, []byte(mask)) > 0 {
				return nil, say("edit.mask")
			}
			var err error
			if value, err = restore(value, o, h); err != nil {
				return nil, err
			}
		}
		b.Write(value)
	}
	b.WriteByte(edited[0] + 2) // } and ] come two after { and [
	return b.Bytes(), nil
}

// keepsHidden reports whether the values that were hidden in an edited text stay hidden under the job's new name: Config.Redact may hide
// them only for the old name.
func (d *Dashboard) keepsHidden(name, edited string, data []byte) bool {
	return strings.Count(string(d.redactData(name, data)), mask) >= strings.Count(edited, mask)
}

type element struct {
	name  string // of an element of an array: its place
	value json.RawMessage
}

// elements are those of an object or an array; nil for other values.
func elements(raw []byte) []element {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	start, err := decoder.Token()
	if err != nil || start != json.Delim('{') && start != json.Delim('[') {
		return nil
	}
	all := []element{}
	for i := 0; decoder.More(); i++ {
		e := element{name: strconv.Itoa(i)}
		if start == json.Delim('{') {
			token, err := decoder.Token()
			if err != nil {
				return nil
			}
			e.name, _ = token.(string)
		}
		if decoder.Decode(&e.value) != nil {
			return nil
		}
		all = append(all, e)
	}
	return all
}

// member is the value of a name; nil if the name is missing or there twice.
func member(all []element, name string) (value json.RawMessage) {
	for _, e := range all {
		if e.name == name && value != nil {
			return nil
		}
		if e.name == name {
			value = e.value
		}
	}
	return value
}
