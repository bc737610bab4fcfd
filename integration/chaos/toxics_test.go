package chaos

import (
	"bytes"

	"github.com/Shopify/toxiproxy/v2/toxics"
)

// cutAtCommit passes a COMMIT on to the server, and closes the connection before the answer can come.
const cutAtCommit = "cut_at_commit"

func init() { toxics.Register(cutAtCommit, new(commitToxic)) }

type commitToxic struct{}

func (*commitToxic) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			stub.Output <- chunk
			if bytes.Contains(bytes.ToUpper(chunk.Data), []byte("COMMIT")) {
				stub.Close()
				return
			}
		}
	}
}
