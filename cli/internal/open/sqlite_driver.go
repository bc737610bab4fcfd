//go:build !sqlqueue_nosqlite

package open

import _ "modernc.org/sqlite" // the driver "sqlite"
