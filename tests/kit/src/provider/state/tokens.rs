//! Issue and end of tokens: exchange, refresh with rotation, client credentials, revocation.

use std::time::Duration;

use super::{AccessRecord, CodeRecord, GrantEnd, GrantRecord, Issued, Presented, RefreshRecord, Refused, State, Timed};
use crate::provider::clock::Moment;
use crate::provider::config::{Rotation, Settings};
use crate::provider::secret::{Digest, random_of_length, s256};

impl State {
    /// Exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.6).
    pub(in crate::provider) fn redeem(
        &mut self,
        presented: &Presented<'_>,
        settings: &Settings,
        now: Moment,
    ) -> Result<Issued, Refused> {
        let entry = self.codes.get_mut(&Digest::of(presented.code)).ok_or("unknown code")?;
        let CodeRecord { request, username, scope, redeemed } = &mut entry.record;
        if request.client_id != presented.client_id {
            return Err("the code was issued to another client");
        }
        if let Some(grant) = *redeemed {
            self.end_grant(grant, GrantEnd::CodeReused);
            return Err("the code was used before");
        }
        if now >= entry.until {
            return Err("the code has expired");
        }
        if presented.redirect_uri != Some(request.redirect_uri.as_str()) {
            return Err("redirect_uri is not the one of the authorization request");
        }
        match (&request.code_challenge, presented.code_verifier) {
            (Some(challenge), Some(verifier)) if s256(verifier) == *challenge => {}
            (None, None) => {}
            (Some(_), Some(_)) => return Err("code_verifier does not fit the code_challenge"),
            (Some(_), None) => return Err("code_verifier is missing"),
            (None, Some(_)) => return Err("code_verifier without a code_challenge"),
        }

        self.last_number += 1;
        let grant = self.last_number;
        *redeemed = Some(grant);
        let nonce = request.nonce.clone();
        let record = GrantRecord {
            client_id: request.client_id.clone(),
            username: Some(username.clone()),
            scope: scope.clone(),
            ended: None,
        };
        self.grants.insert(grant, record.clone());

        let refresh_token =
            settings.issues_refresh_token(&record.scope).then(|| self.issue_refresh_token(grant, settings, now));
        let access_token =
            self.issue_access_token(grant, record.scope.clone(), (settings.access_ttl, settings.token_length), now);
        Ok(Issued { access_token, refresh_token, scope: record.scope, username: record.username, nonce })
    }

    /// Refreshes (RFC 6749 §6). [`Rotation`] decides what happens to the used token.
    pub(in crate::provider) fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        narrower: Option<Vec<String>>,
        settings: &Settings,
        now: Moment,
    ) -> Result<Issued, Refused> {
        let digest = Digest::of(token);
        let record = self.refresh_tokens.get(&digest).ok_or("unknown refresh token")?;
        let (grant_id, spent) = (record.grant, record.spent);
        let grant = self.grants.get(&grant_id).ok_or("unknown grant")?.clone();
        if grant.client_id != client_id {
            return Err("the refresh token was issued to another client");
        }
        if grant.ended.is_some() {
            return Err("the grant has ended");
        }
        if record.until.is_some_and(|until| now >= until) {
            return Err("the refresh token has expired");
        }
        let forgiven = match settings.rotation {
            Rotation::Strict => false,
            Rotation::Grace(grace) => spent.is_some_and(|spent| now < spent.after(grace)),
            Rotation::None => true,
        };
        if spent.is_some() && !forgiven {
            self.end_grant(grant_id, GrantEnd::RefreshTokenReused);
            return Err("the refresh token was used before");
        }
        let scope = narrower.unwrap_or_else(|| grant.scope.clone());
        if !scope.iter().all(|wanted| grant.scope.contains(wanted)) {
            return Err("scope is wider than what was granted");
        }

        let refresh_token = match settings.rotation {
            Rotation::None => None,
            Rotation::Strict | Rotation::Grace(_) => {
                if let Some(used) = self.refresh_tokens.get_mut(&digest) {
                    used.spent.get_or_insert(now);
                }
                Some(self.issue_refresh_token(grant_id, settings, now))
            }
        };
        let access_token =
            self.issue_access_token(grant_id, scope.clone(), (settings.access_ttl, settings.token_length), now);
        Ok(Issued { access_token, refresh_token, scope, username: grant.username, nonce: None })
    }

    /// Issues a token for client credentials (RFC 6749 §4.4): no user, no refresh token.
    pub(in crate::provider) fn client_token(
        &mut self,
        client_id: &str,
        scope: Vec<String>,
        ttl: Duration,
        now: Moment,
    ) -> Issued {
        self.last_number += 1;
        let grant = self.last_number;
        let record = GrantRecord { client_id: client_id.to_owned(), username: None, scope: scope.clone(), ended: None };
        self.grants.insert(grant, record);
        let access_token = self.issue_access_token(grant, scope.clone(), (ttl, 0), now);
        Issued { access_token, refresh_token: None, scope, username: None, nonce: None }
    }

    /// Revokes (RFC 7009 §2.1): a refresh token ends its grant, an access token only itself.
    /// Unknown tokens are accepted; a token of another client is refused.
    pub(in crate::provider) fn revoke(&mut self, token: &str, client_id: &str) -> Result<(), Refused> {
        let digest = Digest::of(token);
        if let Some(grant_id) = self.refresh_tokens.get(&digest).map(|record| record.grant) {
            self.must_belong_to(grant_id, client_id)?;
            self.end_grant(grant_id, GrantEnd::Revoked);
        } else if let Some(grant_id) = self.access_tokens.get(&digest).map(|access| access.record.grant) {
            self.must_belong_to(grant_id, client_id)?;
            if let Some(access) = self.access_tokens.get_mut(&digest) {
                access.record.revoked = true;
            }
        }
        Ok(())
    }

    fn must_belong_to(&self, grant: u64, client_id: &str) -> Result<(), Refused> {
        match self.grants.get(&grant) {
            Some(grant) if grant.client_id != client_id => Err("the token was issued to another client"),
            Some(_) | None => Ok(()),
        }
    }

    fn issue_access_token(
        &mut self,
        grant: u64,
        scope: Vec<String>,
        (ttl, length): (Duration, usize),
        now: Moment,
    ) -> String {
        self.last_number += 1;
        let token = random_of_length("at_", length);
        let record = AccessRecord { grant, number: self.last_number, scope, revoked: false };
        self.access_tokens.insert(Digest::of(&token), Timed { until: now.after(ttl), record });
        token
    }

    fn issue_refresh_token(&mut self, grant: u64, settings: &Settings, now: Moment) -> String {
        let token = random_of_length("rt_", settings.token_length);
        let until = settings.refresh_ttl.map(|ttl| now.after(ttl));
        self.refresh_tokens.insert(Digest::of(&token), RefreshRecord { grant, until, spent: None });
        token
    }
}
