import axios from 'axios';

class AutomatumClient {
  private clientId: string;
  private clientSecret: string;
  private accessToken?: string;
  private tokenExpiresAt?: number;

  constructor(clientId: string, clientSecret: string) {
    this.clientId = clientId;
    this.clientSecret = clientSecret;
  }

  async getAccessToken(): Promise<string> {
    if (this.accessToken && this.tokenExpiresAt && Date.now() < this.tokenExpiresAt - 60000) {
      return this.accessToken;
    }

    const response = await axios.post(
      'https://api.automatum.io/oauth/token',
      new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: this.clientId,
        client_secret: this.clientSecret,
      }),
      {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      }
    );

    this.accessToken = response.data.access_token;
    this.tokenExpiresAt = Date.now() + (response.data.expires_in * 1000);

    return this.accessToken;
  }

  async request(method: string, endpoint: string, data?: any) {
    const token = await this.getAccessToken();
    
    return axios({
      method,
      url: `https://api.automatum.io${endpoint}`,
      headers: {
        'Authorization': `Bearer ${token}`,
        'Content-Type': 'application/json',
      },
      data,
    });
  }

  // Convenience methods
  async getCustomers() {
    const response = await this.request('GET', '/api/v1/customers');
    return response.data;
  }

  async submitMetering(data: any) {
    const response = await this.request('POST', '/api/v1/metering', data);
    return response.data;
  }
}

// Usage
const client = new AutomatumClient(
  process.env.AUTOMATUM_CLIENT_ID!,
  process.env.AUTOMATUM_CLIENT_SECRET!
);

const customers = await client.getCustomers();
