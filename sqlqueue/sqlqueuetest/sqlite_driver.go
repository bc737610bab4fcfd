//go:build !sqlqueue_nosqlite

package sqlqueuetest

import _ "modernc.org/sqlite" // the driver "sqlite"
