//go:build unix

package supervise

import (
	"bytes"
	"encoding/gob"
	"testing"
)

// FuzzWire: what is no request is an error and not a panic.
func FuzzWire(f *testing.F) {
	for _, r := range []request{
		{}, {ID: 1, Kill: true}, {ID: 2, Start: &start{Path: "/bin/true", Args: []string{"true"}, Env: []string{"A=b"}, Files: 3}},
	} {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours, theirs, err := SocketPair()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		go func() {
			defer theirs.Close()
			_, _ = theirs.Write(sent) // the other end may be closed
		}()
		w := newWire(ours)
		for n := 0; ; n++ {
			var r request
			if err := w.receive(&r); err != nil {
				return
			}
			if w.take(3) != nil {
				t.Fatal("files came from nowhere")
			}
			if n > len(sent) {
				t.Fatalf("%d bytes are more than %d requests", len(sent), n)
			}
		}
	})
}
