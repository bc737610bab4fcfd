// Package jsonobject reads a JSON object member by member, and changes some without touching the others.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// Object is the members of a JSON object, in its order, those that only others understand included.
type Object []Member

// Member is one of them.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Parse reads an object; of what is none it returns nil.
func Parse(payload []byte) Object {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	var all Object
	for decoder.More() {
		name, err := decoder.Token()
		var m Member
		if err == nil {
			m.Name, _ = name.(string)
			err = decoder.Decode(&m.Value)
		}
		if err != nil {
			return nil
		}
		all = append(all, m)
	}
	return all
}

// Count is how many members have a name.
func (o Object) Count(name string) (n int) {
	for _, one := range o {
		if one.Name == name {
			n++
		}
	}
	return n
}

// Set leaves one member of the name.
func (o *Object) Set(name string, value json.RawMessage) {
	is := func(one Member) bool { return one.Name == name }
	if i := slices.IndexFunc(*o, is); i >= 0 {
		(*o)[i].Value = value
		*o = append((*o)[:i+1], slices.DeleteFunc((*o)[i+1:], is)...)
		return
	}
	*o = append(*o, Member{name, value})
}

// Encode writes the object, each value as it is.
func (o Object) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := Marshal(one.Name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(one.Value)
	}
	b.WriteByte('}')
	if !utf8.Valid(b.Bytes()) {
		return nil, errors.New("data is not valid UTF-8")
	}
	return b.Bytes(), nil
}

// Text is the member of the name as a text; empty if there is none, if it is no text, or if there is more than one.
func (o Object) Text(name string) (text string) {
	found := false
	for _, one := range o {
		if one.Name != name {
			continue
		}
		if found || json.Unmarshal(one.Value, &text) != nil {
			return ""
		}
		found = true
	}
	return text
}

// Marshal is json.Marshal that leaves <, > and & as they are.
func Marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}
