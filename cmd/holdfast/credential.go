package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/node/enroll"
)

// The days for which a credential is good: a year unless told otherwise, ten at most.
const (
	credentialDays    = 365
	credentialDaysMax = 3650
)

func volumeCredential(c *connection) *cobra.Command {
	var dir string
	var days int
	var revoke bool
	cmd := &cobra.Command{
		Use:   "credential NAME --out DIR [--days N] | --revoke-all",
		Short: "Let a guest on another machine use a volume, or no guest any more",
		Long: "Make a credential for the exports of a volume that other machines reach (`holdfast volume export`),\n" +
			"and for no other volume: ca-cert.pem, client-cert.pem and client-key.pem in DIR, as QEMU\n" +
			"(tls-creds-x509) and libnbd (tls-certificates) read them. The key is made here and goes nowhere else.\n" +
			"Into a DIR that has a credential of the volume already comes the next one, for the same key. Who has\n" +
			"the files of a DIR may read and write the volume, on whatever host it is, until the credential ends.\n\n" +
			"--revoke-all takes back every credential that the volume has had: guests that use the volume by one\n" +
			"are cut off at once, and those made afterwards are good. Guests on the unix socket go on.",
		Example: "  holdfast volume credential web1 --out /etc/pki/web1\n" +
			"  holdfast volume credential web1 --out /etc/pki/web1 --days 30\n" +
			"  holdfast volume credential web1 --revoke-all",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&dir, "out", "", "directory for the files, made if there is none")
	cmd.Flags().IntVar(&days, "days", credentialDays, "how many days the credential is good")
	cmd.Flags().BoolVar(&revoke, "revoke-all", false, "take back every credential of the volume")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		switch {
		case revoke && (dir != "" || cmd.Flags().Changed("days")):
			return usagef("--revoke-all makes no credential: leave --out and --days out, and make one afterwards")
		case !revoke && dir == "":
			return usagef("--out is missing: where is the credential to go, as in --out /etc/pki/%s?", list[0])
		case days < 1 || days > credentialDaysMax:
			return usagef("--days %d: a credential is good for 1 to %d days", days, credentialDaysMax)
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		if revoke {
			return client.RevokeCredentials(cmd.Context(), list[0])
		}
		lifetime := time.Duration(days) * 24 * time.Hour
		made, err := enroll.Credential(cmd.Context(), client, list[0], dir, lifetime)
		if err != nil {
			return err
		}
		shown := struct {
			Directory string    `json:"directory"`
			Volume    string    `json:"volume"`
			Expires   time.Time `json:"expires_at"`
		}{dir, made.Volume, made.Expires}
		return out.print(cmd.OutOrStdout(), shown, func(t *table) {
			t.row("credential", fmt.Sprintf("in %s", dir))
			t.row("good until", made.Expires.Local().Format(time.DateTime))
		})
	}
	return cmd
}
