package settings

import (
	"io"
	"os"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/sqlqueue/encrypt"
)

// The variables of the environment that have the keys with which jobs' data is encrypted: themselves, or the name of a file. No flag
// has them, since all users of a host can read the arguments of its processes.
const (
	keysVariable     = "SQLQUEUE_ENCRYPTION_KEYS"
	keysFileVariable = "SQLQUEUE_ENCRYPTION_KEYS_FILE"

	mostKeys = 64 << 10 // bytes of the file
)

// EncryptionKeys returns the keys of the environment, or nil if it has none. No error has a secret.
func (s *Settings) EncryptionKeys() (*encrypt.Keys, error) {
	text, name := os.Getenv(keysVariable), os.Getenv(keysFileVariable)
	from := keysVariable
	switch {
	case text == "" && name == "":
		return nil, nil
	case text != "" && name != "":
		return nil, exit.Usagef("%s and %s are both set: leave one", keysVariable, keysFileVariable)
	case name != "":
		from = keysFileVariable
		file, err := os.Open(name)
		if err != nil {
			return nil, exit.Usagef("%s: %w", from, err)
		}
		defer file.Close()
		all, err := io.ReadAll(io.LimitReader(file, mostKeys))
		if err != nil {
			return nil, exit.Usagef("%s: %w", from, err)
		}
		if info, err := file.Stat(); err == nil && info.Mode()&OtherRead != 0 {
			WarnOfReaders(s.root, name)
		}
		text = string(all)
	}
	keys, err := encrypt.Parse(text)
	if err != nil {
		return nil, exit.Usagef("%s: %w", from, err)
	}
	return keys, nil
}
