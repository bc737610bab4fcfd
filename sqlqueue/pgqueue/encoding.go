package pgqueue

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// checkEncoding refuses a session in which texts would be changed on their way. The server reports the encoding whenever it changes, so
// this costs nothing. It is empty behind a pooler that does not report it.
func checkEncoding(conn *pgx.Conn) error {
	if conn == nil {
		return nil
	}
	return encodingError(conn.PgConn().ParameterStatus("client_encoding"), conn.PgConn().ParameterStatus("server_encoding"))
}

func encodingError(client, server string) error {
	switch {
	case client == "" || strings.EqualFold(client, "UTF8"):
		return nil
	case client == "SQL_ASCII" && (server == "SQL_ASCII" || server == "UTF8"): // nothing is converted
		return nil
	}
	return &sqlqueue.RefusedError{
		Err: fmt.Errorf("the session's client_encoding is %s, and texts of jobs are UTF-8", client),
		Cure: "set client_encoding=UTF8 in the address or in the pool's ConnConfig.RuntimeParams, which counts before " +
			"what ALTER DATABASE and ALTER ROLE have set",
	}
}

// legible returns a function that makes texts valid UTF-8, for a database that does not check them itself; nil for the others.
func legible(conn *pgx.Conn) func(string) string {
	if conn.PgConn().ParameterStatus("server_encoding") != "SQL_ASCII" {
		return nil
	}
	return func(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
}
