package operator

import (
	"context"
	"fmt"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Subscriptions is that of sqlqueue.Store.
func (q *Queries) Subscriptions(ctx context.Context) ([]sqlqueue.Subscription, error) {
	s := q.statement("SELECT name, url, queue, secret, %s FROM %s ORDER BY name", fmt.Sprintf(q.Dialect.Micros, "created_at"), q.Table("subscriptions"))
	var found []sqlqueue.Subscription
	err := s.each(ctx, q.DB, func(scan func(...any) error) error {
		var of sqlqueue.Subscription
		err := scan(reading(&of.Name, &of.URL, &of.Queue, &of.Secret, &of.CreatedAt)...)
		found = append(found, of)
		return err
	})
	return found, err
}

// Subscribe is that of sqlqueue.Store.
func (q *Queries) Subscribe(ctx context.Context, of sqlqueue.Subscription) error {
	return q.Tx(ctx, func(db DB) error {
		s := q.statement("INSERT INTO %s (name, url, queue, secret, created_at) VALUES ", q.Table("subscriptions"))
		s.add("(%s, %s, %s, %s, ", s.arg(of.Name), s.arg(of.URL), s.arg(of.Queue), s.arg(of.Secret))
		s.add("%s)%s", s.now(), q.Dialect.OnConflict)
		if _, err := s.exec(ctx, db); err != nil {
			return err
		}

		other := ""
		s = q.statement("SELECT name FROM %s", q.Table("subscriptions"))
		s.add(" WHERE queue = %s %s", s.arg(of.Queue), q.Dialect.ForUpdate)
		if err := s.each(ctx, db, func(scan func(...any) error) error { return scan(&other) }); err != nil {
			return err
		}
		if other != "" && other != of.Name {
			return &sqlqueue.SubscribedError{Queue: of.Queue, Name: other}
		}

		s = q.statement("UPDATE %s SET", q.Table("subscriptions"))
		s.add(" url = %s, queue = %s, secret = %s", s.arg(of.URL), s.arg(of.Queue), s.arg(of.Secret))
		s.add(" WHERE name = %s", s.arg(of.Name))
		_, err := s.exec(ctx, db)
		return err
	})
}

// Unsubscribe is that of sqlqueue.Store.
func (q *Queries) Unsubscribe(ctx context.Context, name string) (found bool, err error) {
	err = q.Tx(ctx, func(db DB) error {
		s := q.statement("DELETE FROM %s", q.Table("subscriptions"))
		s.add(" WHERE name = %s", s.arg(name))
		n, err := s.exec(ctx, db)
		if found = n > 0; found || err != nil {
			return err
		}
		// A name that is not valid UTF-8 is not the one that lists show.
		var raw []string
		s = q.statement("SELECT name FROM %s", q.Table("subscriptions"))
		if err := s.each(ctx, db, func(scan func(...any) error) error {
			var written string
			err := scan(&written)
			if strings.ToValidUTF8(written, "\uFFFD") == name && written != name {
				raw = append(raw, written)
			}
			return err
		}); err != nil {
			return err
		}
		for _, written := range raw {
			s := q.statement("DELETE FROM %s", q.Table("subscriptions"))
			s.add(" WHERE name = %s", s.arg(written))
			if _, err := s.exec(ctx, db); err != nil {
				return err
			}
			found = true
		}
		return nil
	})
	return found, err
}
