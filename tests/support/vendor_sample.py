# ruff: noqa
# fmt: off
# The Python sample of the vendor page api/authentication, unchanged except for the host.
import os
import requests
from datetime import datetime, timedelta
from typing import Optional

class AutomatumClient:
    def __init__(self, client_id: str, client_secret: str):
        self.client_id = client_id
        self.client_secret = client_secret
        self.access_token: Optional[str] = None
        self.token_expires_at: Optional[datetime] = None
        self.base_url = os.environ['AUTOMATUM_HOST']

    def get_access_token(self) -> str:
        if (self.access_token and self.token_expires_at and 
            datetime.now() < self.token_expires_at - timedelta(minutes=1)):
            return self.access_token

        response = requests.post(
            f'{self.base_url}/oauth/token',
            data={
                'grant_type': 'client_credentials',
                'client_id': self.client_id,
                'client_secret': self.client_secret,
            },
            headers={'Content-Type': 'application/x-www-form-urlencoded'}
        )
        response.raise_for_status()

        data = response.json()
        self.access_token = data['access_token']
        self.token_expires_at = datetime.now() + timedelta(seconds=data['expires_in'])

        return self.access_token

    def request(self, method: str, endpoint: str, json=None):
        token = self.get_access_token()
        
        response = requests.request(
            method,
            f'{self.base_url}{endpoint}',
            headers={
                'Authorization': f'Bearer {token}',
                'Content-Type': 'application/json',
            },
            json=json
        )
        response.raise_for_status()
        return response.json()

    # Convenience methods
    def get_customers(self):
        return self.request('GET', '/api/v1/customers')

    def submit_metering(self, data):
        return self.request('POST', '/api/v1/metering', json=data)

# Usage
client = AutomatumClient(
    os.environ['AUTOMATUM_CLIENT_ID'],
    os.environ['AUTOMATUM_CLIENT_SECRET']
)

customers = client.get_customers()
