package driver

import "time"

// CancelledKept is how long cancelled jobs can be restored: workers delete older ones.
const CancelledKept = 7 * 24 * time.Hour
