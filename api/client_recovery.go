package api

import (
	"context"
	"io"
	"net/http"
)

// UnfreezeVolume lets a frozen volume be attached again, once all of its legs have answered.
func (c *Client) UnfreezeVolume(ctx context.Context, name string, r Unfreeze) (Volume, error) {
	return post[Volume](ctx, c, objectPath("volumes", name, "unfreeze"), Wait{}, r)
}

// PromoteLeg lets a volume go on from one leg alone; the others are given up, and kept.
func (c *Client) PromoteLeg(ctx context.Context, name string, r Promote) (Volume, error) {
	return post[Volume](ctx, c, objectPath("volumes", name, "promote"), Wait{}, r)
}

// backupMax bounds a backup that is read, in bytes.
const backupMax = 2 << 30

// Backup returns a backup of the coordinators' state. It holds secrets.
func (c *Client) Backup(ctx context.Context) ([]byte, error) {
	var out []byte
	err := c.do(ctx, call{method: http.MethodGet, path: PathBackup, read: func(r io.Reader) error {
		var err error
		out, err = io.ReadAll(io.LimitReader(r, backupMax))
		return err
	}})
	return out, err
}

// EndRestore says that every leg was found after a restore: volumes go on, and legs that nobody knows are only kept.
func (c *Client) EndRestore(ctx context.Context, r EndRestore) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/v1/cluster/end-restore", body: r})
}
