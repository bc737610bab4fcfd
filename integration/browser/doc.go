// Package browser tests the dashboard in a real browser, Chromium, on every database engine. A browser that is missing is installed on
// Debian, as servers are; elsewhere the tests fail. Rules of accessibility are those of axe-core, which npm fetches.
package browser
