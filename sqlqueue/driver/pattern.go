package driver

import "strings"

// IsPattern reports whether a name is a pattern, which means all queues below a level: mail/* means mail/1, mail/eu/2 and so on, but not
// mail itself. The pattern * means all queues.
func IsPattern(name string) bool {
	return name == "*" || strings.HasSuffix(name, "/*") && len(name) > len("/*")
}

// Level is the common start of the names of a pattern's queues: mail/ for mail/*, and the empty text for *.
func Level(pattern string) string { return strings.TrimSuffix(pattern, "*") }

// InPattern reports whether a queue matches a pattern.
func InPattern(pattern, queue string) bool {
	return IsPattern(pattern) && len(queue) >= len(pattern) && strings.HasPrefix(queue, Level(pattern))
}
