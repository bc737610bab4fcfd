// Package guide has the code of docs/guide. Its tests run the code, and compare the pages with it.
package guide
