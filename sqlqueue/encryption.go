package sqlqueue

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
)

// Cipher encrypts the data of jobs in the tables. Package encrypt has one. It must be safe for concurrent use.
type Cipher interface {
	// Encrypt returns the JSON value as {"enc":1,"kid":"k2","box":"…"}, in this order and without space, where kid names the key. Only
	// Decrypt with the same name of a job may open it. The name is empty for the result of a job.
	Encrypt(job string, data json.RawMessage) (json.RawMessage, error)

	// Decrypt returns what Encrypt was given. The error wraps ErrNoKey if it does not have the key; any other one means that the data was
	// changed, or is that of a job of another name.
	Decrypt(job string, data json.RawMessage) (json.RawMessage, error)

	// Current reports whether the data was encrypted with the key that Encrypt uses now.
	Current(data json.RawMessage) bool

	// Hash returns a hash with a key, in hexadecimal, for the keys of UniqueByData: equal texts have equal hashes.
	Hash(text []byte) string
}

// IsEncrypted reports whether a job's data, or the beginning of it, is what a Cipher wrote.
func IsEncrypted(data []byte) bool { return bytes.HasPrefix(data, []byte(`{"enc":1,"kid":"`)) }

// IsEncrypted reports whether the payload's data is encrypted, or the result of the job before it.
func (p *Payload) IsEncrypted() bool {
	return IsEncrypted(p.Data) || p.Parent != nil && IsEncrypted(p.Parent.Result)
}

// EncryptPayload encrypts what is not encrypted in a payload: its data, the data of the jobs in its then and catch, and the result of
// the job before it. Everything else stays as it is. Without a Cipher it returns the payload.
func (q *Queue) EncryptPayload(payload []byte) ([]byte, error) {
	if q.config.Cipher == nil {
		return payload, nil
	}
	return mapData(payload, true, q.encrypt)
}

func (q *Queue) encrypt(job string, data json.RawMessage) (json.RawMessage, error) {
	if IsEncrypted(data) {
		return data, nil
	}
	return q.config.Cipher.Encrypt(job, data)
}

// DecryptPayload decrypts a payload's data, and the result of the job before it; with following also the data of the jobs in its then and
// catch. The error wraps ErrNoKey if the Queue has not the key.
func (q *Queue) DecryptPayload(payload []byte, following bool) ([]byte, error) {
	return mapData(payload, following, q.decrypt)
}

func (q *Queue) decrypt(job string, data json.RawMessage) (json.RawMessage, error) {
	switch {
	case !IsEncrypted(data):
		return data, nil
	case q.config.Cipher == nil:
		return nil, fmt.Errorf("the data is encrypted, and the program has no keys: %w", ErrNoKey)
	}
	return q.config.Cipher.Decrypt(job, data)
}

// ReencryptPayload encrypts what is not encrypted in a payload, or with another key than the one that encrypts now. What is as it
// should be is returned as it is.
func (q *Queue) ReencryptPayload(payload []byte) ([]byte, error) {
	if q.config.Cipher == nil {
		return nil, fmt.Errorf("the program has no keys: %w", ErrNoKey)
	}
	return mapOne(payload, func(job string, data json.RawMessage) (json.RawMessage, error) {
		if IsEncrypted(data) && q.config.Cipher.Current(data) {
			return data, nil
		}
		plain, err := q.decrypt(job, data)
		if err != nil {
			return nil, err
		}
		return q.config.Cipher.Encrypt(job, plain)
	})
}

// encryptCallback is EncryptPayload of a job that a batch pushes, or of a list of them.
func (q *Queue) encryptCallback(text []byte) ([]byte, error) {
	if q.config.Cipher == nil {
		return text, nil
	}
	return mapOne(text, q.encrypt)
}

// encryptRows is EncryptPayload of rows that are to be written.
func (q *Queue) encryptRows(rows []driver.NewJob) error {
	if q.config.Cipher == nil {
		return nil
	}
	for i := range rows {
		payload, err := q.EncryptPayload(rows[i].Payload)
		if err != nil {
			return err
		}
		rows[i].Payload = payload
	}
	return nil
}

// encryptNext encrypts what settlements write: the jobs that they push, and the results that they keep.
func (q *Queue) encryptNext(settled []driver.Settlement) error {
	for _, s := range settled {
		if err := q.encryptRows(s.Push); err != nil {
			return err
		}
		if s.Keep != nil && s.Keep.Result != nil && q.config.Cipher != nil {
			result, err := q.encrypt("", s.Keep.Result)
			if err != nil {
				return err
			}
			s.Keep.Result = result
		}
	}
	return nil
}

// samePayload reports whether a payload of the table says the same as one that is to be written. One that is not yet encrypted does not.
func (q *Queue) samePayload(stored, made []byte) bool {
	if q.config.Cipher == nil {
		return bytes.Equal(stored, made)
	}
	encrypted, err := q.EncryptPayload(stored)
	if err != nil || !bytes.Equal(encrypted, stored) {
		return false
	}
	was, err := q.DecryptPayload(stored, true)
	if err != nil {
		return false
	}
	is, err := q.DecryptPayload(made, true)
	return err == nil && bytes.Equal(was, is)
}

// changeData returns other data of a job.
type changeData func(job string, data json.RawMessage) (json.RawMessage, error)

// mapData changes a payload's data and the result of the job before it, which has no name; with following also the data of the jobs in
// its then and catch. A payload that no worker could run stays as it is.
func mapData(payload []byte, following bool, change changeData) ([]byte, error) {
	members := jsonobject.Parse(payload)
	name, changed := members.Text("job"), false
	if name == "" {
		return payload, nil
	}
	for i := range members {
		m := &members[i]
		value, err := []byte(m.Value), error(nil)
		switch {
		case m.Name == "data":
			value, err = change(name, m.Value)
		case m.Name == "parent":
			value, err = mapResult(m.Value, change)
		case following && (m.Name == "then" || m.Name == "catch"):
			value, err = mapList(m.Value, change)
		}
		if err != nil {
			return nil, fmt.Errorf("job %q: %w", name, err)
		}
		if !bytes.Equal(value, m.Value) {
			m.Value, changed = value, true
		}
	}
	if !changed {
		return payload, nil
	}
	return members.Encode()
}

func mapResult(parent []byte, change changeData) ([]byte, error) {
	members := jsonobject.Parse(parent)
	for i, m := range members {
		if m.Name != "result" {
			continue
		}
		value, err := change("", m.Value)
		if err != nil || bytes.Equal(value, m.Value) {
			return parent, err
		}
		members[i].Value = value
		return members.Encode()
	}
	return parent, nil
}

// mapOne is mapData of a payload, or of a list of them.
func mapOne(payload []byte, change changeData) ([]byte, error) {
	if bytes.HasPrefix(bytes.TrimSpace(payload), []byte("[")) {
		return mapList(payload, change)
	}
	return mapData(payload, true, change)
}

func mapList(text []byte, change changeData) ([]byte, error) {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		return text, nil
	}
	changed := false
	for i, one := range list {
		value, err := mapOne(one, change)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(value, one) {
			list[i], changed = value, true
		}
	}
	if !changed {
		return text, nil
	}
	return jsonobject.Marshal(list)
}
