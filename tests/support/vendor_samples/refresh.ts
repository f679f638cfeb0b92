let tokenExpiresAt = Date.now() + (3600 * 1000);

async function getValidToken() {
  if (Date.now() >= tokenExpiresAt - 60000) { // Refresh 1 min before expiry
    const response = await fetch('https://api.automatum.io/oauth/token', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: process.env.CLIENT_ID,
        client_secret: process.env.CLIENT_SECRET
      })
    });
    
    const data = await response.json();
    tokenExpiresAt = Date.now() + (data.expires_in * 1000);
    return data.access_token;
  }
  
  return currentToken;
}
